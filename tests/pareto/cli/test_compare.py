"""`pareto-search compare`: what it prints and writes, and what crashes and signals leave of it."""

import csv
import json
import os
import signal
import tomllib
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial
from PIL import Image

import studies
from pareto import storages
from pareto.cli import _output
from pareto.experiments.arms import arm_of_method
from pareto.experiments.experiment import Results
from tests.pareto.cells import once, times_complete
from tests.pareto.cli.conftest import Invoke, Start
from tests.pareto.conftest import SLOW_EPOCHS
from tests.pareto.home import NAME, TINY, Home, tiny
from unlearn.methods import METHODS

COMPARISON = f"{NAME}-compare"
WORDS = ("compare", "--study", "tiny.toml", "--repeats", "2")
TWO = ("--method", "retrain", "--method", "ga+omp")
LABELS = ["retrained models", "original model", "retrain", "ga+omp"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with the comparison of these two, and nothing else. Not to be changed."""
    home = Home.new(tmp_path_factory.mktemp("made"))
    arms = [arm_of_method(name, tiny()) for name in TWO[1::2]]
    home.experiment("comparison", arms, 2)
    return home


@pytest.mark.parametrize(("width", "gaps", "deviations"), [(200, 1, 1), (150, 0, 1), (80, 0, 0)])
def test_on_a_narrow_terminal_the_table_shows_less_and_cuts_nothing(
    made: Home,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    gaps: int,
    deviations: int,
) -> None:
    monkeypatch.setattr(_output, "result_console", _output._ResultConsole(width=width))
    told = invoke(made.folder, *WORDS, *TWO).out
    assert "…" not in told
    assert max(map(len, told.splitlines())) <= width
    assert ("In brackets" in told) == ("(+" in told) == bool(gaps)
    assert ("±" in told) == bool(deviations)


@pytest.fixture
def shown(made: Home, invoke: Invoke) -> dict[str, Any]:
    """What it prints as JSON."""
    ending = invoke(made.folder, *WORDS, *TWO, "--format", "json", "--quiet")
    assert (ending.code, ending.err) == (0, "")
    content: dict[str, Any] = json.loads(ending.out)
    return content


def test_a_comparison_prints_json_alone_tells_its_progress_and_leaves_its_files(
    empty_home: Home, invoke: Invoke
) -> None:
    ending = invoke(empty_home.folder, *WORDS, *TWO, "--format", "json")
    assert ending.code == 0
    rows = json.loads(ending.out)["rows"]
    assert [(row["method"], row["repeats"]) for row in rows] == [(label, 2) for label in LABELS]
    assert [len(row["runs"]) for row in rows] == [2 * 3, 2, 2, 2]
    assert "repeat 2 of 2" in ending.err
    assert "4/4 complete" in ending.err
    assert "Warning" not in ending.err
    made = {"pareto-search-workspace", "pareto-search.db", COMPARISON}
    assert empty_home.files() == {*made, "tiny.toml"}
    folder = empty_home.folder / COMPARISON
    assert sorted(os.listdir(folder)) == ["comparison.csv", "comparison.png"]
    with Image.open(folder / "comparison.png") as picture:
        picture.verify()


def test_the_table_holds_what_the_json_holds(made: Home, shown: dict[str, Any]) -> None:
    rows = csv.DictReader((made.folder / COMPARISON / "comparison.csv").open())
    for row, of in zip(rows, shown["rows"], strict=True):
        assert row.pop("method") == of["method"]
        assert {k: float(v) for k, v in row.items() if v} == {
            k: v for k, v in of.items() if k not in ("method", "runs")
        }


def test_a_second_time_it_runs_nothing_and_prints_the_same(made: Home, invoke: Invoke) -> None:
    before = made.trials(COMPARISON)
    first, second = (invoke(made.folder, *WORDS, *TWO, "--format", "json") for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    assert first.out == second.out
    (said,) = second.err.splitlines()
    assert said.startswith("wrote ")
    assert made.trials(COMPARISON) == before


def test_it_is_shown_as_csv(made: Home, invoke: Invoke) -> None:
    ending = invoke(made.folder, *WORDS, *TWO, "--format", "csv", "--quiet")
    assert (ending.code, ending.err) == (0, "")
    assert ending.out == (made.folder / COMPARISON / "comparison.csv").read_text("utf-8")


def test_it_is_shown_as_a_table_with_the_gaps(
    made: Home, shown: dict[str, Any], invoke: Invoke
) -> None:
    ending = invoke(made.folder, *WORDS, *TWO, "--quiet")
    assert (ending.code, ending.err) == (0, "")
    rows = {row["method"]: row for row in shown["rows"]}
    for label in LABELS:
        (line,) = (line for line in ending.out.splitlines() if line.startswith(f" {label}  "))
        assert f"{rows[label]['fa']:.2f} ± {rows[label]['fa_sd']:.2f}" in line
        if label != "retrained models":
            assert f"({rows[label]['mia_gap']:+.2f})" in line
            assert f"{rows[label]['frm_of_means']:.3f}" in line
    assert "ceiling" in ending.out


def test_a_trial_of_a_search_takes_part(finished: Home, invoke: Invoke, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    words = ("--trial", f"{NAME}:4", "--repeats", "1", "--format", "csv", "--quiet")
    ending = invoke(home.folder, "compare", "--study", NAME, *words)
    assert (ending.code, ending.err) == (0, "")
    labels = [row["method"] for row in csv.DictReader(ending.out.splitlines())]
    assert labels == [*LABELS[:2], f"{NAME}:4"]
    (trial,) = home.trials(COMPARISON)
    assert trial.user_attrs["cell"]["config"].items() >= finished.trials()[4].params.items()


def test_all_are_compared_unless_some_are_named(empty_home: Home, invoke: Invoke) -> None:
    # Influence unlearning is the slowest by far; as the definition's method it can be made quick.
    quick = tomllib.loads(TINY) | {"space": {}}
    quick["method"] = {"name": "iu", "gradients": 2, "batch_size": 8}
    quick["recipe"]["epochs"] = 8
    definition = studies.validate(quick, "the quick definition")
    storages.connect(empty_home.url, writable=True)
    empty_home.begin(definition, {})
    ending = invoke(
        empty_home.folder, "compare", "--study", NAME, "--repeats", "1", "--format", "csv"
    )
    assert ending.code == 0
    labels = [row["method"] for row in csv.DictReader(ending.out.splitlines())][2:]
    expected = {f"{method}{suffix}" for method in METHODS for suffix in ("", "+omp")}
    assert len(labels) == len(set(labels))
    assert set(labels) == expected - {"conmu+omp"}  # ConMU prunes anyway


def test_runs_that_fail_are_told_after_the_results(
    made: Home, invoke: Invoke, tmp_path: Path
) -> None:
    home = made.copy(tmp_path / "home")
    broken = TINY.replace("epochs = 2", "epochs = 2\nlearning_rate = 1e30")
    (home.folder / "tiny.toml").write_text(broken)
    ending = invoke(home.folder, *WORDS, "--method", "conmu", *TWO, "--quiet")
    problem, remedy = ending.err.splitlines()
    assert ending.code == 1
    assert problem.startswith("error: 2 run(s) failed: conmu, repeat 1: ")
    assert "not finite" in problem
    assert "again" in remedy
    assert " conmu (0 of 2) " in ending.out
    assert " retrain  " in ending.out


# --- wrong input

WRONG = [
    ["--study", "no-such-study"],
    ["--study", COMPARISON],
    ["--method", "magic"],
    ["--method", "conmu+omp"],
    ["--method", ""],
    ["--trial", NAME],
    ["--trial", f"{NAME}:99"],
    ["--trial", f"{NAME}:4", "--seed", "4"],
    ["--trial", f"{COMPARISON}:0"],
    ["--repeats", "0"],
    ["--repeats", "many"],
    ["--seed", "4"],
    ["--workers", "2", "--device", "cpu"],
    ["--device", "abacus"],
    ["--engine", "local", "--ray-address", "auto"],
    ["--workspace", "tiny.toml"],
    ["--storage", "nonsense"],
    ["--format", "xml"],
    ["extra"],
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_input_is_told_in_two_lines_and_runs_nothing(
    words: list[str], compared: Home, invoke: Invoke
) -> None:
    before = compared.trials(COMPARISON)
    invoke(compared.folder, *WORDS, *words).assert_is_users_mistake()
    assert compared.trials(COMPARISON) == before


def test_a_file_in_the_way_of_the_results_is_refused(empty_home: Home, invoke: Invoke) -> None:
    (empty_home.folder / COMPARISON).touch()
    ending = invoke(empty_home.folder, *WORDS)
    ending.assert_is_users_mistake()
    assert COMPARISON in ending.err
    assert empty_home.files() == {COMPARISON, "tiny.toml"}


# --- killed and interrupted

SLOW = ("compare", "--study", "tiny.toml", "--method", "conmu", "--method", "ft")
REPEATS = 2


@pytest.fixture
def slow_home(empty_home: Home) -> Home:
    """A home with a definition whose runs take long enough to be caught in the middle."""
    slow = TINY.replace("epochs = 2", f"epochs = {SLOW_EPOCHS}")
    (empty_home.folder / "tiny.toml").write_text(slow)
    return empty_home


def go_on(home: Home) -> tuple[list[FrozenTrial], Results]:
    """Run the rest of the comparison here; returns the trials as they were before."""
    before = home.trials(COMPARISON)
    definition = tiny(method={"epochs": SLOW_EPOCHS})
    arms = [arm_of_method(name, definition) for name in ("conmu", "ft")]
    results = home.experiment("comparison", arms, REPEATS, definition)
    after = home.trials(COMPARISON)
    assert times_complete(after) == once(arms, REPEATS)
    assert "RUNNING" not in home.states(COMPARISON)
    complete = [trial for trial in before if trial.state.name == "COMPLETE"]
    assert [after[trial.number] for trial in complete] == complete
    assert not results.interrupted
    assert results.failures == [{}] * 2
    return before, results


def test_a_killed_comparison_goes_on_and_runs_everything_once(
    slow_home: Home, start: Start
) -> None:
    program = start(slow_home.folder, *SLOW, "--repeats", str(REPEATS))
    program.wait_for(f"2/{2 * REPEATS} complete")
    program.wait_until(lambda: slow_home.running() == 1)
    program.kill()
    before, _ = go_on(slow_home)
    assert [trial.state.name for trial in before] == ["COMPLETE"] * (len(before) - 1) + ["RUNNING"]
    (lost,) = [trial for trial in slow_home.trials(COMPARISON) if trial.state.name == "FAIL"]
    assert lost.user_attrs["reason"] == "its driver died or was killed"


def test_an_interrupted_comparison_shows_what_there_is_and_can_be_gone_on_with(
    slow_home: Home, start: Start
) -> None:
    program = start(slow_home.folder, *SLOW, "--repeats", str(REPEATS), "--format", "csv")
    program.wait_for(f"1/{2 * REPEATS} complete")
    program.wait_until(lambda: slow_home.running() == 1)
    program.signal(signal.SIGINT)
    ending = program.end()
    assert ending.code == 130
    assert "Traceback" not in ending.err
    assert ending.err.splitlines()[-1] == "run the same command again to go on"
    assert [row["method"] for row in csv.DictReader(ending.out.splitlines())][2:] == ["conmu", "ft"]
    before, _ = go_on(slow_home)
    assert {trial.state.name for trial in before} == {"COMPLETE"}
    assert 1 < len(before) < 2 * REPEATS
