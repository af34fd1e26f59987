"""What every command says of a trial whose z-bounds keep no sample."""

import csv
import json

import optuna
import pytest

from tests.pareto.cli.conftest import Invoke
from tests.pareto.conftest import TRIALS
from tests.pareto.home import NAME, Home

NOTHING = {
    **{f"{of}_{bound}": 0.0 for of in ("forget", "retain") for bound in ("z1", "z2")},
    "alpha": 0,
    "sigma": 0.1,
    "delta": 0,
}
EXPLAINED = "the parameters leave no sample to work on, so that no step is taken"


@pytest.fixture(scope="module")
def hollow(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A search whose last trial selects nothing. Not to be searched on."""
    home = finished.copy(tmp_path_factory.mktemp("hollow") / "home")
    optuna.load_study(study_name=NAME, storage=home.url).enqueue_trial(NOTHING)
    study = home.search(TRIALS + 1)
    assert study.complete()[-1].run["flags"] == ["empty_selection"]
    return home


def test_the_front_marks_it_in_every_format(hollow: Home, invoke: Invoke) -> None:
    assert TRIALS in [trial.number for trial in hollow.study().front()]  # no other is as cheap
    table = invoke(hollow.folder, "show").out
    (line,) = (line for line in table.splitlines() if line.split()[:1] == [str(TRIALS)])
    assert "nothing selected" in line
    assert f"nothing selected: {EXPLAINED}" in table
    rows = csv.DictReader(invoke(hollow.folder, "show", "--format", "csv").out.splitlines())
    marked = [int(row["number"]) for row in rows if "nothing selected" in row["marks"]]
    assert marked == [TRIALS]
    shown = json.loads(invoke(hollow.folder, "show", "--format", "json").out)
    assert "nothing selected" in shown["marks"][str(TRIALS)]
    assert shown["trials"][TRIALS]["flags"] == ["empty_selection"]


def test_other_trials_are_not_marked(finished: Home, invoke: Invoke) -> None:
    assert "nothing selected" not in invoke(finished.folder, "show").out


def test_a_pick_says_so(hollow: Home, invoke: Invoke) -> None:
    picked = invoke(hollow.folder, "pick", "--prefer", "rte").out
    assert picked.startswith(f"Trial {TRIALS} ")
    assert f"nothing selected: {EXPLAINED}" in picked
    dearer = invoke(hollow.folder, "pick", "--require", "kept_retain > 0", "--prefer", "rte").out
    assert "nothing selected" not in dearer


def test_a_validation_counts_the_repeats(hollow: Home, invoke: Invoke) -> None:
    words = ("validate", "--trial", str(TRIALS), "--repeats", "2")
    told = invoke(hollow.folder, *words).out
    assert f"Nothing selected by trial {TRIALS} in 2 of 2 runs: {EXPLAINED}" in told
    validated = json.loads(invoke(hollow.folder, *words, "--format", "json").out)
    assert validated["empty_selections"] == 2


def test_a_comparison_counts_the_repeats(hollow: Home, invoke: Invoke) -> None:
    trial = f"{NAME}:{TRIALS}"
    words = ("compare", "--study", NAME, "--trial", trial, "--repeats", "1")
    told = invoke(hollow.folder, *words).out
    assert f"Nothing selected by {trial} in 1 of 1 runs: {EXPLAINED}" in told
    rows = csv.DictReader(invoke(hollow.folder, *words, "--format", "csv").out.splitlines())
    assert {row["method"]: row["empty_selections"] for row in rows} == {
        **dict.fromkeys(("retrained models", "original model"), "0"),
        trial: "1",
    }


def test_a_sweep_counts_the_repeats(hollow: Home, invoke: Invoke) -> None:
    words = ("sweep", "--study", NAME, "--vary", "keep=0,0.5", "--repeats", "1")
    told = invoke(hollow.folder, *words).out
    assert f"Nothing selected by keep=0 in 1 of 1 runs: {EXPLAINED}" in told
    points = json.loads(invoke(hollow.folder, *words, "--format", "json").out)["points"]
    assert [point["empty_selections"] for point in points] == [1, 0]


def test_two_studies_against_each_other_say_so_of_their_best(hollow: Home, invoke: Invoke) -> None:
    invoke(hollow.folder, "--study", NAME, "--method", "ga", "--budget", "1")
    told = invoke(hollow.folder, "show", "--study", NAME, "--against", f"{NAME}-ga").out
    assert f"(trial {TRIALS})" in told
    assert f"Trial {TRIALS} of {NAME}, nothing selected: {EXPLAINED}" in told
