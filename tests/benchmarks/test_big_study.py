"""The benchmark of big studies: its trials are what a search would have stored."""

from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from benchmarks.big_study import NAME, insert, open_ledger, variations
from benchmarks.stand_in import unlearn
from pareto import storages
from pareto.front import DIRECTIONS, non_dominated
from pareto.study import open_study


def stored(url: str) -> list[FrozenTrial]:
    storage = storages.connect(url, writable=False)
    return storage.get_all_trials(storage.get_study_id_from_name(NAME))


def without_times(trial: FrozenTrial) -> dict[str, Any]:
    """All that two studies of the same trials have to agree on."""
    assert trial.datetime_start is not None
    assert trial.datetime_complete is not None
    lease = dict(trial.user_attrs["lease"])
    assert lease.pop("beat") > 0
    assert lease.pop("id")
    return {
        **{key: value for key, value in vars(trial).items() if "datetime" not in key},
        "_user_attrs": {**trial.user_attrs, "lease": lease},
    }


def test_inserted_trials_are_what_the_ledger_stores(tmp_path: Path) -> None:
    through, at_once = (f"sqlite:///{tmp_path}/{name}.db" for name in ("through", "at_once"))
    ledger, _ = open_ledger(through)
    made = []
    for _ in range(8):
        ticket = ledger.ask(8, 0)
        assert ticket is not None
        made.append((ticket, unlearn(ticket)))
        ledger.complete(*made[-1])
    insert(open_ledger(at_once)[1], made)
    assert list(map(without_times, stored(at_once))) == list(map(without_times, stored(through)))
    assert open_study(NAME, at_once).trials() == open_study(NAME, through).trials()


def test_variations_come_to_lie_on_a_front_of_many_trials() -> None:
    values = [outcome.values for _, outcome in variations(1000)]
    fronts = [non_dominated(part, DIRECTIONS).sum() for part in (values[:200], values)]
    assert fronts[1] > 1.5 * fronts[0]
