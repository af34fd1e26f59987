"""A study as its reader sees it."""

from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage

from pareto import storages
from pareto.front import DIRECTIONS, non_dominated
from pareto.ledger import Ledger
from pareto.study import CONSTANTS, Study, open_study
from pareto.trials.outcome import Failure, Outcome
from tests.pareto.cheap import SEED, SPACE, sampler
from tests.pareto.home import NAME, Home
from unlearn.errors import InputError

REFERENCE = {"mean": {"ta": 88.0, "fa": 87.0, "ra": 99.0, "mia": 38.0}, "seconds": 60.0}
ORIGINAL = {"ta": 90.0, "fa": 100.0, "ra": 100.0, "mia": 2.0}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


def store(url: str, name: str, *rows: tuple[float, float, float] | None) -> None:
    """A study with these values; None is a trial that failed."""
    connected = storages.connect(url, writable=True)
    ledger = Ledger.open(connected, {"name": name}, {}, SPACE, sampler())
    for row in rows:
        ticket = ledger.ask(100, SEED)
        assert ticket is not None
        if row is None:
            ledger.fail(ticket, Failure("ValueError: no"))
        else:
            metrics = dict(zip(("ta", "frm", "rte"), row, strict=True))
            ledger.complete(ticket, Outcome({**metrics, "fa": 70.0}, {"flags": []}))
    ledger.set_note("reference", REFERENCE)
    ledger.set_note("original", ORIGINAL)


ROWS = ((90, 0.2, 30), None, (80, 0.8, 20), (70, 0.7, 25), (60, 0.3, 10), (80, 0.8, 20))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The only study of its storage. Not to be changed."""
    url = f"sqlite:///{tmp_path_factory.mktemp('one')}/studies.db"
    store(url, "one", *ROWS)
    return open_study("one", url)


def test_the_front_leaves_out_what_failed_or_is_dominated_and_keeps_equals(study: Study) -> None:
    assert [trial.number for trial in study.front()] == [0, 2, 4, 5]


def test_the_front_of_a_real_study_is_what_dominance_says(finished: Home) -> None:
    study = finished.study()
    mask = non_dominated(study.values(), DIRECTIONS)
    assert [trial.number for trial in study.front()] == mask.nonzero()[0].tolist()


def test_knee_and_extremes_are_marked(study: Study) -> None:
    assert study.marks() == {0: ["best ta"], 2: ["knee", "best frm"], 4: ["best rte"]}


def test_the_hypervolume_is_bounded_by_the_cost_of_retraining(study: Study) -> None:
    # Slices of RTE: from 10 to 20 s one point counts, from 20 to 30 two, up to 60 all.
    thin = 60 * 0.3
    middle = 80 * 0.8
    whole = middle + (90 - 80) * 0.2
    assert study.hypervolume() == pytest.approx(10 * thin + 10 * middle + 30 * whole)
    assert study.hypervolume_share() == pytest.approx(study.hypervolume() / (100 * 60))


def test_requirements_may_name_figures_of_the_study(study: Study) -> None:
    expected = {f"original_{name}": value for name, value in ORIGINAL.items()}
    expected |= {"retrain_ta": 88.0, "retrain_fa": 87.0, "retrain_ra": 99.0, "retrain_mia": 38.0}
    assert study.constants() == expected | {"retrain_rte": 60.0}
    assert study.constants().keys() == CONSTANTS


def test_a_point_is_picked_by_requirements_and_preference(study: Study) -> None:
    picked = study.pick(["frm >= 0.3", "rte <= 0.4 * retrain_rte"], prefer="rte")
    assert picked.trial.number == 4


def test_every_stored_figure_may_be_required(finished: Home) -> None:
    study = finished.study()
    for name in study.complete()[0].metrics:
        assert study.pick([f"{name} >= -1e9", f"{name} <= 1e9"]).trial in study.front()


def test_a_study_without_a_complete_trial_has_nothing_to_pick(url: str) -> None:
    store(url, "none", None)
    with pytest.raises(InputError, match="has no complete trial"):
        open_study("none", url).pick()


def test_a_study_without_trials_has_an_empty_front(url: str) -> None:
    store(url, "none")
    study = open_study("none", url)
    assert (study.front(), study.marks(), study.hypervolume()) == ([], {}, 0)


def test_the_only_study_needs_no_name(study: Study) -> None:
    assert open_study(None, study.storage).name == "one"


@pytest.mark.parametrize("name", [None, "three"])
def test_an_unknown_study_is_refused_with_those_there_are(url: str, name: str | None) -> None:
    store(url, "one")
    store(url, "two")
    with pytest.raises(InputError) as caught:
        open_study(name, url)
    assert "one, two" in caught.value.remedy


def test_a_storage_without_studies_is_refused(url: str) -> None:
    storages.connect(url, writable=True)
    with pytest.raises(InputError) as caught:
        open_study(None, url)
    assert "holds no search" in caught.value.problem


def add_foreign(connected: BaseStorage) -> None:
    """A study that some other program has put into the storage."""
    foreign = optuna.create_study(study_name="foreign", storage=connected)
    foreign.tell(foreign.ask(), 1.0)


def test_a_study_of_another_program_is_refused(url: str) -> None:
    add_foreign(storages.connect(url, writable=True))
    with pytest.raises(InputError):
        open_study("foreign", url).front()


def test_reading_leaves_the_storage_as_it_is(finished: Home) -> None:
    before = finished.trials()
    study = finished.study()
    study.front()
    study.pick()
    assert finished.trials() == before
    assert open_study(NAME, finished.url).definition["name"] == NAME
