"""Running a chosen trial again, and on data that the search never saw."""

import statistics
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pareto.choice.validation import Validation, validate
from pareto.engines import SerialEngine
from pareto.ledger import Ledger, StudyMismatch
from pareto.preparation.prepared import open_workspace, prepare
from pareto.storages import connect
from pareto.study import open_study
from tests.pareto.conftest import Tiny
from tests.pareto.home import NAME, Home, tiny
from unlearn.errors import InputError

NUMBER, REPEATS = 4, 3


@pytest.fixture(scope="module")
def home(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return finished.copy(tmp_path_factory.mktemp("validated"))


@pytest.fixture(scope="module")
def validation(home: Home) -> Validation:
    return validate(home.study(), NUMBER, repeats=REPEATS, device="cpu", workspace=home.workspace)


def test_the_replay_reproduces_the_trial_bit_for_bit(home: Home, validation: Validation) -> None:
    trial = home.study().complete()[NUMBER]
    assert validation.reproduced
    assert validation.found == trial.metrics
    replayed = (validation.replayed["ta"], validation.replayed["frm"], validation.replayed["rte"])
    assert replayed == trial.values


@pytest.mark.parametrize("repeats", [0, -1])
def test_no_repeats_are_refused(home: Home, repeats: int) -> None:
    with pytest.raises(InputError, match="validate nothing"):
        validate(home.study(), NUMBER, repeats=repeats, device="cpu", workspace=home.workspace)


def test_a_stopwatch_need_not_show_the_same_time_again(tiny_study: Tiny, tmp_path: Path) -> None:
    home = tiny_study.home.copy(tmp_path / "home")
    home.file.unlink()
    study = home.search(1, tiny(objectives={"runtime": "measured"}))
    timed = validate(study, 0, repeats=1, device="cpu", workspace=home.workspace)
    assert timed.found["rte"] != timed.replayed["rte"]
    assert timed.reproduced
    assert not replace(timed, replayed={**timed.replayed, "frm": -1.0}).reproduced


def test_a_calibrated_cost_has_to_be_the_same_again(validation: Validation) -> None:
    assert not replace(validation, replayed={**validation.replayed, "rte": -1.0}).reproduced


def test_repeats_differ_from_each_other(validation: Validation) -> None:
    assert len(validation.repeats) == REPEATS
    assert len({tuple(run[name] for name in ("ta", "fa", "ra")) for run in validation.repeats}) > 1


def test_repeats_are_summed_up_by_mean_and_deviation(validation: Validation) -> None:
    accuracies = [run["ta"] for run in validation.repeats]
    assert validation.mean()["ta"] == pytest.approx(sum(accuracies) / REPEATS)
    deviation = validation.sd()
    assert deviation is not None
    assert deviation["ta"] == pytest.approx(statistics.stdev(accuracies))


def test_a_single_repeat_has_no_deviation(validation: Validation) -> None:
    assert replace(validation, repeats=validation.repeats[:1]).sd() is None


def test_a_retraining_costs_what_it_cost_when_the_study_was_begun(
    finished: Home, tmp_path: Path
) -> None:
    copy = finished.copy(tmp_path / "home")
    ledger = Ledger(connect(copy.url, writable=True), NAME)
    ledger.set_note("reference", {**ledger.note("reference"), "seconds": 123.0})
    again = validate(copy.study(), NUMBER, repeats=1, device="cpu", workspace=copy.workspace)
    assert again.retrained["rte"] == 123.0


def test_repeats_are_judged_against_the_retrained_models_on_the_same_half(
    home: Home, validation: Validation
) -> None:
    # FA and RA don't depend on the half of the test data; TA and MIA do.
    mean = home.study().reference["mean"]
    assert {name: validation.retrained[name] for name in ("fa", "ra")} == {
        name: mean[name] for name in ("fa", "ra")
    }
    assert validation.retrained["ta"] != mean["ta"]


def test_the_attack_is_fitted_on_members_that_the_search_has_not_used(
    home: Home, validation: Validation, tiny_study: Tiny
) -> None:
    for fresh in (True, False):
        material = replace(tiny_study.material, fresh_members=fresh)
        workspace = open_workspace(material, str(home.workspace), print)
        engine = SerialEngine(torch.device("cpu"))
        prepared = prepare(material, material.report, workspace, engine, print, share_work=False)
        assert (prepared.reference.mean.mia == validation.retrained["mia"]) is fresh


def test_the_same_validation_again_has_the_same_figures(home: Home, validation: Validation) -> None:
    again = validate(home.study(), NUMBER, repeats=1, device="cpu", workspace=home.workspace)
    for name in ("ta", "frm", "fa", "ra", "mia"):
        assert again.repeats[0][name] == validation.repeats[0][name]


def test_of_two_validations_that_of_more_repeats_is_kept(finished: Home, tmp_path: Path) -> None:
    home, said = finished.copy(tmp_path / "home"), list[str]()
    options = {"device": "cpu", "workspace": home.workspace, "announce": said.append}
    for repeats, kept in ((1, 1), (2, 2), (1, 2)):
        validate(home.study(), 0, repeats=repeats, **options)  # type: ignore[arg-type]
        validation = home.study().validation(0)
        assert validation is not None
        assert len(validation["repeats"]) == kept
    assert said[-1] == "the study keeps the validation of 2 repeats that it has"
    ledger = Ledger(connect(home.url, writable=True), NAME)
    ledger.set_note("validation-0", {**ledger.note("validation-0"), "ceiling": -1.0})
    validate(home.study(), 0, repeats=2, **options)  # type: ignore[arg-type]
    assert home.study().validation(0)["ceiling"] != -1.0  # type: ignore[index]


def test_the_result_is_kept_in_the_study(finished: Home, tmp_path: Path) -> None:
    home = finished.copy(tmp_path)
    result = validate(home.study(), 0, repeats=1, device="cpu", workspace=home.workspace)
    assert home.study().validation(0) == result.as_dict()
    assert home.study().validation(1) is None
    assert home.trials() == finished.trials()


def test_a_trial_that_is_not_complete_is_refused(home: Home) -> None:
    with pytest.raises(InputError, match="has no complete trial 99"):
        validate(home.study(), 99, repeats=1, workspace=home.workspace)


def test_data_that_have_changed_since_are_refused(finished: Home, tmp_path: Path) -> None:
    home = finished.copy(tmp_path)
    ledger = Ledger(connect(home.url, writable=True), NAME)
    ledger.set_note("identity", {**ledger.note("identity"), "data.sha256": "another"})
    with pytest.raises(StudyMismatch, match=r"data\.sha256"):
        validate(open_study(NAME, home.url), 0, repeats=1, workspace=home.workspace)
