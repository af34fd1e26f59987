"""What samplers are told of requirements, and what they make of it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState, create_trial

from pareto import storages
from pareto.choice.requirements import parse
from pareto.front import DIRECTIONS
from pareto.ledger import Ledger
from pareto.sampling import samplers
from pareto.sampling.aim import Aim
from studies.names import SamplerName
from tests.pareto.cheap import SPACE, STARTING_POINTS, open_ledger, run, sampler
from unlearn.seeds import derive_seed

CONSTANTS = {"retrain_rte": 4.0}
AIM = Aim(
    [
        parse(text, {"ta", "frm", "rte", *CONSTANTS})
        for text in ("ta >= 50", "frm > 0.25", "rte <= 0.5 * retrain_rte")
    ],
    CONSTANTS,
)
# Few different figures, on both sides of the requirements and on their edges.
FIGURES = st.fixed_dictionaries(
    {
        "ta": st.sampled_from([0.0, 49.0, 50.0, 100.0]),
        "frm": st.sampled_from([0.0, 0.25, 0.3, 1.0]),
        "rte": st.sampled_from([0.5, 2.0, 2.1, 9.0]),
    }
)
STATES = st.sampled_from([TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING])


def satisfies(figures: Mapping[str, float]) -> bool:
    """By hand, what `AIM` asks for."""
    return figures["ta"] >= 50 and figures["frm"] > 0.25 and figures["rte"] <= 2


@given(st.lists(st.tuples(STATES, FIGURES), max_size=12))
def test_exactly_the_trials_that_satisfy_everything_are_feasible(
    drawn: list[tuple[TrialState, dict[str, float]]],
) -> None:
    trials = [
        create_trial(
            state=state,
            values=[0.0, 0.0, 0.0] if state == TrialState.COMPLETE else None,
            user_attrs={"metrics": figures, "run": {}},
        )
        for state, figures in drawn
    ]
    told = AIM.told_of(trials)
    for trial, seen, (state, figures) in zip(trials, told, drawn, strict=True):
        if state == TrialState.COMPLETE:
            assert len(seen.constraints) == 3
            assert all(amount <= 0 for amount in seen.constraints.values()) == satisfies(figures)
        else:
            assert seen is trial
        assert trial.constraints == {}


def aimed(storage: BaseStorage, name: SamplerName, seed: int) -> Ledger:
    proposing = sampler(name, seed)
    proposing.aim = AIM
    return open_ledger(storage, proposing)


def found(ledger: Ledger) -> int:
    """How many of the later trials satisfy everything."""
    return sum(satisfies(trial.metrics) for trial in ledger.trials()[15:])


@pytest.mark.parametrize("name", ["tpe", "nsga2", "nsga3"])
def test_a_sampler_that_is_told_finds_more_of_what_is_asked_for(
    name: SamplerName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samplers, "POPULATION", 8)
    told, untold = 0, 0
    for seed in range(4):
        ledgers = (
            aimed(InMemoryStorage(), name, seed),
            open_ledger(InMemoryStorage(), sampler(name, seed)),
        )
        for ledger in ledgers:
            run(ledger, 60)
        told += found(ledgers[0])
        untold += found(ledgers[1])
    assert told > 1.25 * untold


OPTUNAS: Mapping[SamplerName, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(n_startup_trials=10 + len(STARTING_POINTS), seed=seed),
    "gp": lambda seed: GPSampler(seed=seed),
}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(("name", "number"), [("tpe", 12), ("tpe", 20), ("gp", 10)])
def test_what_is_proposed_is_what_optunas_own_proposes_under_the_same_constraints(
    name: SamplerName, number: int
) -> None:
    storage = InMemoryStorage()
    run(aimed(storage, name, 0), number + 1)
    trials = optuna.load_study(study_name="cheap", storage=storage).get_trials()
    assert [trial.constraints for trial in trials] == [{}] * (number + 1)  # none is stored
    own = OPTUNAS[name](derive_seed(0, "sampler", number) % 2**32)
    plain = optuna.create_study(directions=list(DIRECTIONS), sampler=own)
    plain.add_trials(AIM.told_of(trials[:number]))
    assert plain.ask(SPACE).params == trials[number].params


def test_a_search_with_an_aim_that_is_stopped_and_resumed_proposes_the_same(
    tmp_path: Path,
) -> None:
    through = aimed(InMemoryStorage(), "tpe", 0)
    run(through, 20)
    for budget in (5, 14, 20):
        stored = storages.connect(f"sqlite:///{tmp_path}/studies.db", writable=True)
        resumed = aimed(stored, "tpe", 0)
        run(resumed, budget)
    assert [trial.params for trial in resumed.trials()] == [
        trial.params for trial in through.trials()
    ]
