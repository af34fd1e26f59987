"""`pareto-search` itself: what it leaves behind, and what crashes and signals leave of it."""

import csv
import json
import os
import pty
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from PIL import Image

from tests.pareto.cli.conftest import Invoke, Start
from tests.pareto.conftest import SLOW_EPOCHS, TRIALS
from tests.pareto.home import NAME, Home, tiny
from tests.pareto.program import PROGRAM, SECONDS, Ending, Program, run

RESUME = ("--study", NAME, "--budget")
MEASURES = ("reference", "original", "hypervolume", "hypervolume_reference", "front", "marks")
"""What a study as a whole is told by, as JSON."""
SLOW = tiny(method={"epochs": SLOW_EPOCHS})


class Searched(NamedTuple):
    """What came of a first search, in a folder that held a definition alone."""

    home: Home
    ending: Ending
    left: list[str]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    home = Home.new(tmp_path_factory.mktemp("searched"))
    words = ["--study", "tiny.toml", "--budget", "3", "--workers", "1", "--format", "json"]
    ending = run(home.folder, *words)
    return Searched(home, ending, sorted(os.listdir(home.folder)))


def rows(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines()))


def test_a_search_prints_json_alone_on_standard_output(searched: Searched) -> None:
    assert searched.ending.code == 0
    shown = json.loads(searched.ending.out)
    assert shown["study"] == NAME
    assert [trial["state"] for trial in shown["trials"]] == ["complete"] * 3


def test_a_search_tells_its_progress_on_standard_error(searched: Searched) -> None:
    said = searched.ending.err
    assert "training the original model" in said
    assert "3/3 complete" in said
    assert "Warning" not in said


def test_a_search_ends_with_a_command_that_works(searched: Searched, invoke: Invoke) -> None:
    hint = searched.ending.err.splitlines()[-1]
    words = shlex.split(hint[hint.index("pareto-search") :])
    assert invoke(searched.home.folder, *words[1:]).code in (0, 3)


def test_a_search_leaves_pictures_and_tables(searched: Searched) -> None:
    folder = searched.home.folder / NAME
    assert sorted(os.listdir(folder)) == ["front.csv", "front.png", "trials.csv"]
    with Image.open(folder / "front.png") as picture:
        picture.verify()


def test_the_tables_hold_what_the_json_holds(searched: Searched) -> None:
    shown = json.loads(searched.ending.out)
    trials = rows(searched.home.folder / NAME / "trials.csv")
    front = rows(searched.home.folder / NAME / "front.csv")
    assert [int(row["number"]) for row in front] == shown["front"]
    for row, trial in zip(trials, shown["trials"], strict=True):
        assert {name: float(row[name]) for name in trial["metrics"]} == trial["metrics"]
        assert {name: float(row[f"param_{name}"]) for name in trial["params"]} == trial["params"]


def test_nothing_but_results_storage_and_workspace_is_left(searched: Searched) -> None:
    assert searched.left == ["pareto-search-workspace", "pareto-search.db", NAME, "tiny.toml"]


def test_a_finished_study_is_shown_again(finished: Home, invoke: Invoke, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    ending = invoke(home.folder, *RESUME, str(TRIALS))
    assert ending.code == 0
    assert f"{TRIALS} complete trials" in ending.err
    assert "best ta" in ending.out
    assert home.trials() == finished.trials()


def test_quiet_leaves_standard_error_empty(finished: Home, invoke: Invoke, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    ending = invoke(home.folder, *RESUME, str(TRIALS + 1), "--workers", "1", "--quiet")
    assert (ending.code, ending.err) == (0, "")
    assert home.states() == ["COMPLETE"] * (TRIALS + 1)


def test_a_search_may_be_told_of_requirements_and_hands_them_on_to_pick(
    finished: Home, invoke: Invoke, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path / "home")
    (home.folder / "policy.toml").write_text('[requirements]\ncheap = "rte <= retrain_rte"\n')
    words = ("--require", "frm >= 0.1", "--policy", "policy.toml")
    ending = invoke(home.folder, *RESUME, str(TRIALS + 1), "--workers", "1", *words)
    assert ending.code == 0
    hint = shlex.split(ending.err.splitlines()[-1])
    assert hint[-6:-2] == ["--require", "frm >= 0.1", "--require", "rte <= retrain_rte"]
    assert invoke(home.folder, *hint[hint.index("pareto-search") + 1 :]).code in (0, 3)


def test_the_same_command_in_another_folder_gives_the_same_study_bit_for_bit(
    tmp_path: Path, invoke: Invoke
) -> None:
    words = ("--study", "tiny.toml", "--budget", "18", "--workers", "1", "--format", "json")
    studies = [
        json.loads(invoke(Home.new(tmp_path / folder).folder, *words).out) for folder in ("a", "b")
    ]
    first, second = (
        [(trial["params"], trial["values"]) for trial in study["trials"]] for study in studies
    )
    assert len(first) == 18
    assert first == second
    one, other = studies
    assert {key: one[key] for key in MEASURES} == {key: other[key] for key in MEASURES}


def test_a_study_that_only_fails_ends_with_exit_code_1_and_the_reason(
    home: Home, invoke: Invoke
) -> None:
    home.begin(tiny(method={"learning_rate": 1e30}), home.notes())
    ending = invoke(home.folder, *RESUME, "5", "--workers", "1", "--max-failures", "2", "--quiet")
    problem, remedy = ending.err.splitlines()
    assert ending.code == 1
    assert "not finite" in problem
    assert remedy


# --- killed, interrupted, shared


def test_a_killed_search_goes_on_to_exactly_its_budget(slow_home: Home, start: Start) -> None:
    program = start(slow_home.folder, *RESUME, "5", "--workers", "1")
    program.wait_until(lambda: slow_home.complete() >= 2)
    program.wait_until(lambda: slow_home.running() == 1)
    program.kill()
    before = slow_home.trials()
    slow_home.search(5, SLOW)
    after = slow_home.trials()
    assert slow_home.states().count("COMPLETE") == 5
    assert "RUNNING" not in slow_home.states()
    for trial in before:
        if trial.state.name == "COMPLETE":
            assert after[trial.number] == trial
        else:
            assert after[trial.number].user_attrs["reason"] == "its driver died or was killed"
            retries = [t for t in after if t.user_attrs.get("retry_of") == trial.number]
            # Killed while it was asked for, it has not got all its parameters: nothing to repeat.
            begun = trial.params.keys() == after[0].params.keys()
            assert [retry.params for retry in retries] == [trial.params] * begun


def test_a_search_killed_while_it_prepares_starts_again(empty_home: Home, start: Start) -> None:
    program = start(empty_home.folder, "--study", "tiny.toml", "--budget", "1", "--workers", "1")
    program.wait_for("retraining without the forgotten samples, 2 of 3")
    program.kill()
    empty_home.search(1)
    assert empty_home.states() == ["COMPLETE"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupt_lets_running_trials_end(slow_home: Home, start: Start, workers: str) -> None:
    program = start(slow_home.folder, *RESUME, "100", "--workers", workers)
    program.wait_until(lambda: slow_home.complete() >= 1)
    if workers == "1":
        program.signal(signal.SIGINT)
    else:  # as `timeout` and batch systems do, to all of its processes
        os.killpg(program.process.pid, signal.SIGTERM)
    ending = program.end()
    assert ending.code == 130
    assert "Traceback" not in ending.err
    assert set(slow_home.states()) <= {"COMPLETE", "WAITING"}  # what nobody had begun is put back
    assert len(slow_home.states()) < 100


def wait_for_a_trial(process: "subprocess.Popen[bytes]", home: Home) -> None:
    given_up = time.monotonic() + SECONDS
    while not home.complete():
        if process.poll() is not None or time.monotonic() > given_up:
            process.kill()
            raise AssertionError("no trial is complete")
        time.sleep(0.05)


def test_an_interrupt_is_one_where_nobody_reads_the_results(slow_home: Home) -> None:
    pipe = subprocess.PIPE  # as of `| tee`, which Ctrl-C ends first
    process = subprocess.Popen(
        [PROGRAM, *RESUME, "100", "--workers", "1"],
        cwd=slow_home.folder,
        stdout=pipe,
        stderr=pipe,
    )
    assert process.stdout is not None
    process.stdout.close()
    wait_for_a_trial(process, slow_home)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=SECONDS)
    assert said.splitlines()[-2].startswith(b"error: interrupted")
    assert process.returncode == 130
    assert len(rows(slow_home.folder / NAME / "trials.csv")) >= slow_home.complete()


def test_a_terminal_that_goes_away_ends_a_search_well(slow_home: Home) -> None:
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, *RESUME, "100", "--workers", "1"],
        cwd=slow_home.folder,
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
    )
    os.close(its_end)
    wait_for_a_trial(process, slow_home)
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=SECONDS) == 130
    assert len(rows(slow_home.folder / NAME / "trials.csv")) >= slow_home.complete()
    assert set(slow_home.states()) <= {"COMPLETE", "WAITING"}


def test_a_second_interrupt_stops_at_once(home: Home, start: Start) -> None:
    definition = tiny(method={"epochs": 100_000})  # nobody could wait for the first trial
    home.begin(definition, home.notes())
    program = start(home.folder, *RESUME, "2", "--workers", "1")
    program.wait_until(lambda: home.running() == 1)
    program.signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):  # the first one lets the trial go on
        program.process.wait(timeout=1)
    program.signal(signal.SIGINT)
    ending = program.end()
    assert ending.code == 130
    assert "Traceback" not in ending.err
    assert home.states() == ["FAIL", "WAITING"]
    assert home.trials()[0].user_attrs["reason"] == "interrupted"


def test_what_asks_it_to_end_while_it_prepares_is_an_interrupt(
    empty_home: Home, start: Start
) -> None:
    definition = empty_home.folder / "tiny.toml"
    definition.write_text(definition.read_text().replace("epochs = 3", "epochs = 100_000"))
    program = start(empty_home.folder, "--study", "tiny.toml", "--budget", "2", "--workers", "1")
    program.wait_for("are to be forgotten")
    program.signal(signal.SIGTERM)
    ending = program.end()
    assert (ending.code, "Traceback" in ending.err) == (130, False)


def workers(program: Program) -> list[psutil.Process]:
    """The worker processes of a run, which another process forks."""
    found = []
    for child in psutil.Process(program.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # or a zombie, which is one as well
            if "forkserver" in " ".join(child.cmdline()):
                found += child.children()
    return found


def test_two_drivers_at_once_share_the_budget_exactly(slow_home: Home, start: Start) -> None:
    first = start(slow_home.folder, *RESUME, "8", "--workers", "2")
    first.wait_until(lambda: slow_home.complete() >= 1)
    for worker in workers(first):
        worker.suspend()  # or all may be done before the other driver begins
    second = start(slow_home.folder, *RESUME, "8", "--workers", "1")
    # What the workers of the first have just ended may be two of them.
    enough = slow_home.complete() + 3
    second.wait_until(lambda: slow_home.complete() >= enough)
    for worker in workers(first):
        worker.resume()
    assert [program.end().code for program in (first, second)] == [0, 0]
    assert slow_home.states().count("COMPLETE") == 8
    assert set(slow_home.states()) <= {"COMPLETE", "WAITING"}
    complete = [trial for trial in slow_home.trials() if trial.state.name == "COMPLETE"]
    drivers = {trial.user_attrs["lease"]["pid"] for trial in complete}
    assert drivers == {program.process.pid for program in (first, second)}


def test_a_worker_that_is_killed_costs_its_trial_and_no_more(home: Home, start: Start) -> None:
    home.begin(tiny(method={"epochs": 5 * SLOW_EPOCHS}), home.notes())
    program = start(home.folder, *RESUME, "3", "--workers", "2")
    # The third is asked for when both workers have something to do.
    program.wait_until(lambda: home.running() == 3)
    workers(program)[0].kill()
    assert program.end().code == 0
    (failed,) = [trial for trial in home.trials() if trial.state.name == "FAIL"]
    assert "its worker was ended by SIGKILL" in failed.user_attrs["reason"]
    assert home.states().count("COMPLETE") == 3
    assert "RUNNING" not in home.states()
