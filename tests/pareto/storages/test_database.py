"""How trials are read from databases, against Optuna's own way."""

from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from pareto import storages
from pareto.storages import _database
from tests.pareto.servers import KINDS, Servers

SPACE: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-5, 1.0, log=True),
    "layers": IntDistribution(1, 9, step=2),
    "kind": CategoricalDistribution(["a", None, 3, True, 0.5]),
}


@pytest.fixture(params=["sqlite", *KINDS])
def database(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Any:
    """A storage in a new database, without the cache that is put before it."""
    url = servers.new_place(request.param, tmp_path)
    cached: Any = storages.connect(url, writable=True)
    return cached._backend


def test_a_connection_given_back_in_an_interrupt_says_nothing(
    database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    sqlalchemy.event.listen(database.engine, "reset", interrupt)
    with pytest.raises(KeyboardInterrupt), database.engine.connect():
        pass
    assert not caplog.records


def add_trials(study: optuna.Study) -> None:
    """One of every kind, among those of another study."""
    several = len(study.directions) > 1
    other = optuna.create_study(storage=study._storage)
    for turn in range(3):
        other.tell(other.ask(SPACE), turn)
        trial = study.ask(SPACE)
        trial.set_user_attr("metrics", {"ta": 0.1 + 0.2, "steps": turn, "of": {"ta": [1, None]}})
        trial.set_user_attr("a", "θ δ")
        study._storage.set_trial_system_attr(trial._trial_id, "generation", turn)
        if not several:
            for step, value in ((1, 0.5), (0, float("-inf")), (2, float("inf"))):
                trial.report(value, step)
        study.tell(trial, [1 / 3, float("inf"), float("-inf")] if several else 1 / 3)
    study.tell(study.ask(SPACE), state=TrialState.FAIL)
    study.ask(SPACE)
    study.ask()
    study.enqueue_trial({"rate": 0.5, "layers": 3, "kind": None}, user_attrs={"retry_of": 3})


def both(database: Any, *arguments: Any) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """What our way of reading gives, and what Optuna's does."""
    return database._get_trials(*arguments), RDBStorage._get_trials(database, *arguments)


@pytest.mark.parametrize("objectives", [1, 3])
def test_every_kind_of_trial_is_read_as_optuna_reads_it(
    database: Any, objectives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_database, "AT_A_TIME", 2)
    study = optuna.create_study(storage=database, directions=["minimize"] * objectives)
    add_trials(study)
    ids = [trial._trial_id for trial in study.get_trials()]
    some = {TrialState.COMPLETE, TrialState.RUNNING}
    for included, after in [(set(), -1), (set(), ids[2]), ({ids[0], ids[3]}, ids[4])]:
        for states in (None, some):
            ours, plain = both(database, study._study_id, states, included, after)
            assert len(plain) > 0
            assert ours == plain
            assert [list(one.params) for one in ours] == [list(one.params) for one in plain]


def test_a_study_without_trials_and_one_that_is_not_there(database: Any) -> None:
    study = optuna.create_study(storage=database)
    assert both(database, study._study_id, None, set(), -1) == ([], [])
    with pytest.raises(KeyError):
        database._get_trials(study._study_id + 1, None, set(), -1)


def test_what_is_the_same_in_all_trials_is_kept_once(database: Any) -> None:
    study = optuna.create_study(storage=database, directions=["minimize"] * 3)
    add_trials(study)
    first, second = database._get_trials(study._study_id, None, set(), -1)[:2]
    for name in SPACE:
        assert first.distributions[name] is second.distributions[name]
    keys = [{key: key for key in trial.user_attrs["metrics"]} for trial in (first, second)]
    assert all(keys[0][key] is keys[1][key] for key in ("ta", "steps", "of"))
