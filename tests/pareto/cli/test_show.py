"""`pareto-search show`."""

import csv
import json
from pathlib import Path

import optuna
import pytest

from pareto import storages
from pareto.ledger import Ledger
from pareto.storages import connect
from pareto.trials.outcome import Outcome
from tests.pareto.cli.conftest import Invoke
from tests.pareto.conftest import TRIALS, Tiny
from tests.pareto.home import NAME, Home, open_ledger, tiny
from tests.pareto.program import run

KEYS = {
    *("study", "storage", "objectives", "directions", "reference", "ceiling"),
    *("hypervolume", "front", "trials"),
}
TRIAL_KEYS = {"number", "state", "params", "values", "metrics", "reason"}


def test_a_study_is_shown_as_json_on_standard_output_alone(finished: Home) -> None:
    ending = run(finished.folder, "show", "--format", "json")
    assert (ending.code, ending.err) == (0, "")
    shown = json.loads(ending.out)
    assert shown.keys() >= KEYS
    assert [trial["number"] for trial in shown["trials"]] == list(range(TRIALS))
    assert all(trial.keys() >= TRIAL_KEYS for trial in shown["trials"])
    assert all(trial["values"].keys() == {"ta", "frm", "rte"} for trial in shown["trials"])
    assert shown["front"] == [trial.number for trial in finished.study().front()]


@pytest.mark.parametrize(
    ("accuracy", "samples", "ceiling", "told"),
    [
        (60.0, 50, 0.9, ["under 62.2 % its figures say little. MIA is a part of FRM."]),
        (63.0, 50, 0.9, []),
        (54.0, None, 0.9, ["under 55.0 % its figures say little. MIA is a part of FRM."]),
        (63.0, 50, 0.4, ["The retrained models hardly agree with each other"]),
    ],
)
def test_figures_that_say_little_are_told_of(
    finished: Home,
    tmp_path: Path,
    invoke: Invoke,
    accuracy: float,
    samples: int | None,
    ceiling: float,
    told: list[str],
) -> None:
    home = finished.copy(tmp_path / "home")
    ledger = Ledger(connect(home.url, writable=True), NAME)
    reference = ledger.note("reference")
    known = {} if samples is None else {"attack_samples": samples}
    runs = [{"ta": 80.0, "fa": 70.0, "ra": 90.0, "mia": 30.0, "attack_accuracy": accuracy, **known}]
    ledger.set_note("reference", {**reference, "runs": runs, "ceiling": ceiling})
    shown = invoke(home.folder, "show").out
    assert shown.count("little") == len(told)
    assert all(line in shown for line in told)


def test_the_front_is_shown_as_csv(finished: Home, invoke: Invoke) -> None:
    ending = invoke(finished.folder, "show", "--format", "csv")
    rows = list(csv.DictReader(ending.out.splitlines()))
    assert (ending.code, ending.err) == (0, "")
    assert [int(row["number"]) for row in rows] == [t.number for t in finished.study().front()]


def test_the_front_is_shown_as_a_table_with_its_marks(finished: Home, invoke: Invoke) -> None:
    ending = invoke(finished.folder, "show", "--study", NAME)
    assert (ending.code, ending.err) == (0, "")
    for mark in ("knee", "best ta", "best frm", "best rte", "original model", "retrained ×3"):
        assert mark in ending.out
    assert f"Ceiling: FRM {finished.study().reference['ceiling']:.3f}" in ending.out
    first_words = [line.split()[0] for line in ending.out.splitlines() if line.strip()]
    assert {str(trial.number) for trial in finished.study().front()} <= set(first_words)


@pytest.mark.parametrize(("seconds", "is_said"), [(1e-6, True), (1e6, False)])
def test_that_nothing_is_cheaper_than_retraining_is_said(
    finished: Home, tmp_path: Path, invoke: Invoke, seconds: float, is_said: bool
) -> None:
    copy = finished.copy(tmp_path / "home")
    ledger = Ledger(connect(copy.url, writable=True), NAME)
    ledger.set_note("reference", {**ledger.note("reference"), "seconds": seconds})
    said = invoke(copy.folder, "show").out
    assert ("Every trial costs more than retraining" in said) == is_said
    assert ("hypervolume 0.000 of the ideal box" in said) == is_said


def test_a_study_that_was_only_prepared_can_be_shown(home: Home, invoke: Invoke) -> None:
    ending = invoke(home.folder, "show", "--format", "json")
    assert ending.code == 0
    assert json.loads(ending.out)["trials"] == []


def test_a_study_that_was_not_even_prepared_can_be_shown(home: Home, invoke: Invoke) -> None:
    home.begin(tiny(), notes={})
    ending = invoke(home.folder, "show")
    assert (ending.code, ending.err) == (0, "")


def test_a_study_of_another_program_cannot_be_shown(home: Home, invoke: Invoke) -> None:
    connected = storages.connect(home.url, writable=True)
    foreign = optuna.create_study(study_name="foreign", storage=connected)
    foreign.tell(foreign.ask(), 1.0)
    invoke(home.folder, "show", "--study", "foreign").assert_is_users_mistake()


@pytest.mark.parametrize("words", [["show"], ["pick"], ["validate", "--trial", "0"]], ids=" ".join)
@pytest.mark.parametrize(("kind", "command"), [("comparison", "compare"), ("sweep", "sweep")])
def test_an_experiment_is_refused_with_the_command_that_shows_it(
    compared: Home, invoke: Invoke, words: list[str], kind: str, command: str
) -> None:
    ending = invoke(compared.folder, *words, "--study", f"{NAME}-{command}")
    ending.assert_is_users_mistake()
    problem, remedy = ending.err.splitlines()
    assert f"is a {kind}" in problem
    assert f"pareto-search {command}" in remedy


@pytest.mark.parametrize("command", ["show", "pick"])
def test_the_only_search_needs_no_name_beside_experiments(
    compared: Home, finished: Home, invoke: Invoke, command: str
) -> None:
    ending = invoke(compared.folder, command, "--format", "csv")
    assert (ending.code, ending.err) == (0, "")
    assert ending.out == invoke(finished.folder, command, "--format", "csv").out


def test_an_unknown_study_is_refused_with_those_there_are(finished: Home, invoke: Invoke) -> None:
    ending = invoke(finished.folder, "show", "--study", "other")
    ending.assert_is_users_mistake()
    assert NAME in ending.err.splitlines()[1]


def test_trials_of_several_devices_are_told_apart(
    home: Home, tiny_study: Tiny, invoke: Invoke
) -> None:
    ledger = open_ledger(home.url, tiny_study.material)
    runs = [("a", "cpu (x86_64)", "1"), ("a", "cpu (x86_64)", "1"), ("b", "cuda:0 (H200)", "2")]
    said = []
    for host, device, fingerprint in runs:
        ticket = ledger.ask(10, 0)
        assert ticket is not None
        run = {"host": host, "device": device, "fingerprint": fingerprint}
        ledger.complete(ticket, Outcome({"ta": 1.0, "frm": 0.5, "rte": 1.0}, run))
        said.append(invoke(home.folder, "show").out)
    assert "devices" not in said[1]
    assert "builds of the same models" not in said[1]
    assert "2 devices: 2 on cpu (x86_64) of a, 1 on cuda:0 (H200) of b." in said[2]
    assert f"{tiny_study.home.notes()['calibrated_on']['device']} of" in said[2]
    assert "2 builds of the same models" in said[2]
