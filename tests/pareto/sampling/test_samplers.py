"""Samplers on real studies: inside the space, starting points first, and the same after a stop."""

import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage

import studies
from pareto import storages
from pareto.front import DIRECTIONS
from pareto.ledger import Ledger
from pareto.sampling import samplers
from pareto.sampling.excerpt import telling
from pareto.sampling.samplers import StudySampler
from pareto.sampling.space import distributions
from pareto.trials.outcome import Failure
from studies.names import SAMPLER_NAMES, SamplerName
from tests.pareto.cheap import SEED, SPACE, STARTING_POINTS, open_ledger, run, sampler, score
from unlearn.seeds import derive_seed

LOST = Failure("its worker was ended by SIGKILL", lost=True)
RESUMABLE: tuple[SamplerName, ...] = ("tpe", "random", "nsga2", "nsga3", "qmc")


@pytest.fixture(autouse=True)
def small_population(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that some generations fit in a dozen trials."""
    monkeypatch.setattr(samplers, "POPULATION", 4)


def params(ledger: Ledger) -> list[dict[str, Any]]:
    return [dict(trial.params) for trial in ledger.trials()]


def test_every_name_of_a_definition_has_its_sampler() -> None:
    assert set(samplers.SAMPLERS) == set(SAMPLER_NAMES)


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_every_sampler_stays_in_the_space(name: SamplerName) -> None:
    ranges = studies.load("digits").ranges
    study = optuna.create_study(
        directions=["maximize", "maximize", "minimize"],
        sampler=StudySampler(name, SEED, starting_points=[]),
    )
    for _ in range(12):  # the first ten are random to most samplers
        trial = study.ask(distributions(ranges))
        outside = [key for key, value in trial.params.items() if value not in ranges[key]]
        assert outside == []
        assert trial.params.keys() == ranges.keys()
        figures = [trial.params["alpha"], trial.params["sigma"], trial.params["delta"]]
        study.tell(trial, figures)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_quasi_random_points_are_those_of_one_sequence() -> None:
    ledger = open_ledger(InMemoryStorage(), StudySampler("qmc", SEED, starting_points=[]))
    run(ledger, 9)
    own = optuna.samplers.QMCSampler(scramble=True, seed=SEED, warn_independent_sampling=False)
    plain = optuna.create_study(directions=list(DIRECTIONS), sampler=own)
    for _ in range(9):
        trial = plain.ask(SPACE)
        outcome = score(trial.params)
        plain.tell(trial, outcome.values)
    # The first one's parameters are drawn one by one, when the sequence has no dimensions yet.
    assert params(ledger)[1:] == [trial.params for trial in plain.trials[1:]]


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_every_sampler_varies_what_it_proposes(name: SamplerName) -> None:
    ledger = open_ledger(InMemoryStorage(), sampler(name))
    run(ledger, 8)
    assert len({trial.params["x"] for trial in ledger.trials()}) > len(STARTING_POINTS) + 1


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_no_sampler_speaks_to_the_user(name: SamplerName) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(open_ledger(InMemoryStorage(), sampler(name)), 4)


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_starting_points_come_first_and_in_order(name: SamplerName) -> None:
    ledger = open_ledger(InMemoryStorage(), sampler(name))
    run(ledger, 3)
    assert params(ledger)[:2] == STARTING_POINTS
    assert params(ledger)[2] not in STARTING_POINTS


def test_a_retry_takes_no_starting_points_turn() -> None:
    ledger = open_ledger(InMemoryStorage())
    first = ledger.ask(9, SEED)
    assert first is not None
    ledger.fail(first, LOST)
    run(ledger, 3)
    assert params(ledger)[:3] == [STARTING_POINTS[0], STARTING_POINTS[0], STARTING_POINTS[1]]


def test_a_trial_that_failed_of_itself_has_used_its_starting_point() -> None:
    ledger = open_ledger(InMemoryStorage())
    first = ledger.ask(9, SEED)
    assert first is not None
    ledger.fail(first, Failure("ValueError: no"))
    run(ledger, 1)
    assert params(ledger) == STARTING_POINTS


def test_trials_at_a_time_share_the_starting_points() -> None:
    storage = InMemoryStorage()
    first, second = open_ledger(storage), open_ledger(storage)
    tickets = [first.ask(9, SEED), second.ask(9, SEED)]
    assert [ticket.params for ticket in tickets if ticket] == STARTING_POINTS


@pytest.mark.parametrize("name", RESUMABLE)
def test_a_stopped_and_resumed_search_proposes_the_same(name: SamplerName, tmp_path: Path) -> None:
    through = open_ledger(InMemoryStorage(), sampler(name))
    run(through, 16)
    for budget in (1, 5, 13, 16):
        stored = storages.connect(f"sqlite:///{tmp_path}/studies.db", writable=True)
        resumed = open_ledger(stored, sampler(name))
        run(resumed, budget)
    assert params(resumed) == params(through)


@pytest.mark.parametrize("name", RESUMABLE)
def test_another_seed_proposes_something_else(name: SamplerName) -> None:
    ledgers = [open_ledger(InMemoryStorage(), sampler(name, seed)) for seed in (1, 2)]
    for ledger in ledgers:
        run(ledger, 4)
    first, second = map(params, ledgers)
    assert first[:2] == second[:2]
    assert first[2] != second[2]


@pytest.mark.parametrize("enough", [12, 1000])
def test_tpe_proposes_what_optunas_own_does_with_the_trials_that_it_sees(
    enough: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samplers, "ENOUGH", enough)
    storage = InMemoryStorage()
    run(open_ledger(storage, sampler("tpe")), 30)
    trials = optuna.load_study(study_name="cheap", storage=storage).get_trials()
    for number in (5, 11, 12, 13, 29):
        seed = derive_seed(SEED, "sampler", number) % 2**32
        own = optuna.samplers.TPESampler(n_startup_trials=10 + len(STARTING_POINTS), seed=seed)
        plain = optuna.create_study(directions=list(DIRECTIONS), sampler=own)
        seen = telling(trials[:number], enough)
        assert len(seen) == min(number, enough)
        plain.add_trials(seen)
        assert plain.ask(SPACE).params == trials[number].params


def test_proposals_follow_what_was_observed() -> None:
    # TPE learns that a high x is good; a sampler without memory would stay around one half.
    ledger = open_ledger(InMemoryStorage(), sampler("tpe"))
    while (ticket := ledger.ask(40, SEED)) is not None:
        outcome = score({"x": ticket.params["x"], "y": 0.01, "k": 0})
        ledger.complete(ticket, outcome)
    late = [trial.params["x"] for trial in ledger.trials()[20:]]
    assert sum(late) / len(late) > 0.6
