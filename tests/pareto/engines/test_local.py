"""The pool: workers that die, workers that cannot start, and a driver that dies."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import nullcontext, suppress
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from pareto.engines import PoolEngine, SerialEngine
from pareto.engines._contract import MakeRunner
from pareto.engines.local import LONGEST_TMPDIR
from pareto.engines.settings import EngineSettings
from pareto.errors import EngineError
from pareto.trials.outcome import Failure, Outcome
from tests.pareto.engines import fakes
from tests.pareto.engines.fakes import (
    CPU,
    NO_DEVICE,
    ListedTrials,
    make_dead_runner,
    make_no_runner,
    make_runner,
    make_runner_on_devices,
    run_in_pool,
)
from tests.pareto.processes import CONTEXT
from unlearn.errors import InputError


def test_one_worker_means_this_process() -> None:
    source = ListedTrials.of("run")
    SerialEngine(CPU).run(source, make_runner)
    result = source.result(0)
    assert isinstance(result, Outcome)
    assert result.run["pid"] == os.getpid()


def test_workers_that_die_are_replaced_and_their_trials_reported_as_lost() -> None:
    source = ListedTrials.of("exit", "run", "die", "run", "exit", "run")
    run_in_pool([CPU, CPU], source, make_runner)
    assert source.reported == [0, 1, 2, 3, 4, 5]
    lost = [source.result(number) for number in (0, 2, 4)]
    assert [isinstance(result, Failure) and result.lost for result in lost] == [True] * 3
    reasons = [result.reason for result in lost if isinstance(result, Failure)]
    assert reasons[0] == reasons[2] == "its worker ended with exit code 7"
    assert reasons[1].startswith("its worker was ended by SIGKILL")
    assert all(isinstance(source.result(number), Outcome) for number in (1, 3, 5))


def test_an_idle_worker_that_dies_is_replaced() -> None:
    source = ListedTrials.of("run", None, "run")
    killed: list[int] = []

    def kill_the_worker() -> None:
        if source.results and not killed:
            (_, result), *_ = source.results
            assert isinstance(result, Outcome)
            killed.append(result.run["pid"])
            os.kill(killed[0], signal.SIGKILL)

    source.on_next = kill_the_worker
    run_in_pool([CPU], source, make_runner)
    assert source.reported == [0, 2]
    assert killed


def test_workers_are_replaced_when_what_forks_them_is_killed_too() -> None:
    source = ListedTrials.of("run", "die", "run", "die", "run")

    def kill_what_forks() -> None:
        for child in psutil.Process().children():
            with suppress(psutil.NoSuchProcess):  # killed before
                if "forkserver" in " ".join(child.cmdline()):
                    child.kill()

    source.on_next = kill_what_forks
    run_in_pool([CPU, CPU], source, make_runner)
    assert source.reported == [0, 1, 2, 3, 4]
    assert all(isinstance(source.result(number), Outcome) for number in (0, 2, 4))


def test_what_forks_workers_can_be_started_ahead() -> None:
    # In a new interpreter, where nothing forks yet.
    code = (
        "import psutil; from pareto.engines import local; local.start_forking();"
        " print([p.pid for p in psutil.Process().children() if 'forkserver' in str(p.cmdline())]);"
        " from tests.pareto.engines.fakes import *; source = ListedTrials.of('run', 'run');"
        " run_in_pool([CPU, CPU], source, make_runner);"
        " print([p.pid for p in psutil.Process().children() if 'forkserver' in str(p.cmdline())])"
    )
    root = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    before, after = ended.stdout.splitlines()
    assert before != "[]"
    assert after == before


def test_workers_run_trials_at_the_same_time(tmp_path: Path) -> None:
    source = ListedTrials.of(*[f"meet in {tmp_path}"] * 2)
    run_in_pool([CPU, CPU], source, make_runner)
    assert all(isinstance(source.result(number), Outcome) for number in (0, 1))


def test_workers_ignore_what_is_sent_to_all_processes_to_end_them(tmp_path: Path) -> None:
    # In a new interpreter: the very first process that one spawns is a case of its own.
    code = f"from {fakes.__name__} import *; run_while_interrupted({str(tmp_path)!r})"
    root = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert (ended.stdout, ended.stderr) == ("3 outcomes\n", "")


def test_the_workers_are_gone_afterwards() -> None:
    source = ListedTrials.of("run", "run")
    run_in_pool([CPU], source, make_runner)
    assert multiprocessing.active_children() == []


def test_workers_stay_for_more_but_for_those_that_have_not_started_in_time() -> None:
    with PoolEngine([CPU, NO_DEVICE]) as pool:
        first = ListedTrials.of("run")
        pool.run(first, make_runner_on_devices)  # which takes its time on the other device
        (worker,) = multiprocessing.active_children()
        second = ListedTrials.of("run", "run")
        pool.run(second, make_runner)
    outcomes = [first.result(0), second.result(0)]
    pids = [outcome.run["pid"] for outcome in outcomes if isinstance(outcome, Outcome)]
    assert pids == [worker.pid] * 2
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_no_runner, "RuntimeError: no such device"),
        (make_dead_runner, "it ended with exit code 3"),
    ],
)
def test_a_worker_that_cannot_start_stops_the_engine_with_the_reason(
    make: MakeRunner, reason: str
) -> None:
    with pytest.raises(EngineError, match=f"a worker could not start: {reason}") as caught:
        run_in_pool([CPU], ListedTrials.of("run"), make)
    assert caught.value.remedy
    assert multiprocessing.active_children() == []


def test_trials_of_other_workers_are_reported_when_one_cannot_start() -> None:
    source = ListedTrials.of("wait", *[None] * 1000)
    with pytest.raises(EngineError):
        run_in_pool([CPU, NO_DEVICE], source, make_runner_on_devices)
    assert source.reported == [0]


def drive(pids: "SimpleQueue[list[int]]") -> None:
    source = ListedTrials.of("wait", "wait", "wait")

    def tell() -> None:
        if len(source.tickets) == 2:  # one worker has its trial by now
            pids.put([child.pid for child in multiprocessing.active_children() if child.pid])

    source.on_next = tell
    run_in_pool([CPU, CPU], source, make_runner)


def test_the_next_ticket_is_asked_for_while_all_workers_work(tmp_path: Path) -> None:
    source = ListedTrials.of(f"meet in {tmp_path}", "run")

    def meet_the_first() -> None:
        if len(source.tickets) == 1:
            (tmp_path / "next").touch()

    source.on_next = meet_the_first
    run_in_pool([CPU], source, make_runner)
    assert isinstance(source.result(0), Outcome)


def test_a_ticket_that_was_asked_for_too_early_is_put_back(tmp_path: Path) -> None:
    source = ListedTrials.of(f"meet in {tmp_path}", "run", "run")

    def stop_once_the_first_runs() -> None:
        if len(source.tickets) == 2:
            source.stopped = True
            (tmp_path / "next").touch()

    source.on_next = stop_once_the_first_runs
    run_in_pool([CPU], source, make_runner)
    assert source.reported == [0]
    assert [ticket and ticket.number for ticket in source.tickets] == [1, 2]
    assert source.out == 0


def test_workers_leave_when_their_driver_is_killed() -> None:
    pids = CONTEXT.SimpleQueue()
    driver = CONTEXT.Process(target=drive, args=(pids,))
    driver.start()
    workers = [psutil.Process(pid) for pid in pids.get()]
    driver.kill()
    driver.join()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    assert len(workers) == 2


def test_a_temporary_folder_with_too_long_a_name_for_sockets_is_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for length, is_too_long in ((LONGEST_TMPDIR, False), (LONGEST_TMPDIR + 1, True)):
        folder = "/" + "x" * (length - 1)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        with pytest.raises(InputError) if is_too_long else nullcontext():
            EngineSettings(workers=2, device="cpu").check("calibrated")
    EngineSettings(workers=1, device="cpu").check("calibrated")


def test_that_there_is_no_temporary_folder_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    with pytest.raises(InputError, match="no folder for temporary files") as caught:
        EngineSettings(workers=2, device="cpu").check("calibrated")
    assert "TMPDIR" in caught.value.remedy


SCRIPT = """
from tests.pareto.engines.fakes import CPU, ListedTrials, make_runner, run_in_pool

if __name__ == "__main__":
    source = ListedTrials.of("run", "run")
    run_in_pool([CPU, CPU], source, make_runner)
    print(source.reported)
"""


def test_a_script_may_come_by_standard_input() -> None:
    # In the longest temporary folder that sockets leave room for.
    usual = tempfile.gettempdir()
    folder = Path(usual, uuid4().hex.ljust(LONGEST_TMPDIR - len(usual) - 1, "x"))
    assert len(str(folder)) == LONGEST_TMPDIR
    folder.mkdir()
    try:
        ended = subprocess.run(
            [sys.executable, "-"],
            input=SCRIPT,
            env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(Path.cwd())},
            capture_output=True,
            text=True,
        )
    finally:
        shutil.rmtree(folder)
    assert (ended.stdout, ended.returncode) == ("[0, 1]\n", 0), ended.stderr
