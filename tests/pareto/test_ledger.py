"""The ledger: identity, an exact budget, and no trial that stays running for ever."""

import os
import signal
from dataclasses import replace
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from pareto import leases, storages
from pareto.leases import Driver
from pareto.ledger import MAX_ATTEMPTS, Counts, Ledger, StudyMismatch, study_names
from pareto.outcome import Failure, Ticket
from pareto.samplers import StudySampler
from tests.pareto.cheap import SEED, SPACE, STARTING_POINTS, open_ledger, run, sampler, score
from tests.pareto.processes import CONTEXT, run_at_once, start
from unlearn.seeds import derive_seed

LOST = Failure("its worker was ended by SIGKILL", lost=True)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


@pytest.fixture
def memory() -> BaseStorage:
    return InMemoryStorage()


@pytest.fixture
def ledger(memory: BaseStorage) -> Ledger:
    return open_ledger(memory)


def connect(url: str) -> BaseStorage:
    return storages.connect(url, writable=True)


def ask(ledger: Ledger, budget: int = 100) -> Ticket:
    ticket = ledger.ask(budget, SEED)
    assert ticket is not None
    return ticket


def frozen(stored: BaseStorage, number: int) -> FrozenTrial:
    return optuna.load_study(study_name="cheap", storage=stored).get_trials()[number]


def states(stored: BaseStorage) -> list[str]:
    study = optuna.load_study(study_name="cheap", storage=stored)
    return [trial.state.name for trial in study.get_trials()]


# --- identity


def test_a_study_stores_its_definition_and_identity(ledger: Ledger) -> None:
    assert ledger.note("definition") == {"name": "cheap", "seed": SEED}
    assert ledger.note("identity") == {"seed": SEED}


def test_opening_with_the_same_identity_goes_on(memory: BaseStorage, ledger: Ledger) -> None:
    run(ledger, 2)
    assert open_ledger(memory).counts() == Counts(complete=2, failed=0, running=0)


def test_opening_with_another_identity_lists_the_fields_that_differ(memory: BaseStorage) -> None:
    open_ledger(memory, model="small-cnn", epochs=3)
    with pytest.raises(StudyMismatch) as caught:
        open_ledger(memory, model="resnet18", epochs=3, limit=5)
    assert "model is small-cnn there and resnet18 here" in caught.value.problem
    assert "limit is None there and 5 here" in caught.value.problem
    assert "epochs" not in caught.value.problem


def test_opening_with_another_identity_changes_nothing(memory: BaseStorage) -> None:
    ledger = open_ledger(memory, epochs=3)
    with pytest.raises(StudyMismatch):
        open_ledger(memory, epochs=4)
    assert ledger.note("identity") == {"seed": SEED, "epochs": 3}


def test_a_fingerprint_that_differs_alone_is_told(memory: BaseStorage) -> None:
    open_ledger(memory, None, **{"data.sha256": "aaa"})
    with pytest.raises(StudyMismatch, match=r"data\.sha256 is aaa there and bbb here"):
        open_ledger(memory, None, **{"data.sha256": "bbb"})


def test_a_study_of_another_program_is_refused(memory: BaseStorage) -> None:
    foreign = optuna.create_study(
        study_name="cheap", storage=memory, directions=["maximize", "maximize", "minimize"]
    )
    foreign.ask(SPACE)
    with pytest.raises(StudyMismatch, match="not made by pareto-search"):
        open_ledger(memory)


def test_an_empty_study_with_other_objectives_is_refused(memory: BaseStorage) -> None:
    optuna.create_study(study_name="cheap", storage=memory, directions=["minimize"])
    with pytest.raises(StudyMismatch):
        open_ledger(memory)


def test_the_studies_of_a_storage_are_listed_by_name(memory: BaseStorage) -> None:
    for name in ("b", "a"):
        Ledger.open(memory, {"name": name}, {}, SPACE, sampler())
    assert study_names(memory) == ["a", "b"]


# --- asking and telling


def test_a_ticket_carries_number_parameters_and_seed(ledger: Ledger) -> None:
    ticket = ask(ledger)
    seed = derive_seed(SEED, "trial", 0)
    assert ticket == Ticket(number=0, params=STARTING_POINTS[0], seed=seed)


def test_an_asked_trial_carries_this_drivers_lease(memory: BaseStorage, ledger: Ledger) -> None:
    ask(ledger)
    lease = frozen(memory, 0).user_attrs["lease"]
    assert (lease["pid"], lease["host"]) == (os.getpid(), Driver.this_process().host)


def test_renewing_changes_the_beat_of_running_trials(memory: BaseStorage, ledger: Ledger) -> None:
    ask(ledger)
    before = frozen(memory, 0).user_attrs["lease"]["beat"]
    ledger.renew_leases()
    assert frozen(memory, 0).user_attrs["lease"]["beat"] > before


def test_a_complete_trial_has_everything_in_the_storage(
    memory: BaseStorage, ledger: Ledger
) -> None:
    ticket = ask(ledger)
    outcome = score(ticket.params)
    ledger.complete(ticket, outcome)
    stored = frozen(memory, 0)
    assert stored.state == TrialState.COMPLETE
    assert stored.values == outcome.values
    assert stored.user_attrs["metrics"] == outcome.metrics
    assert stored.user_attrs["run"] == outcome.run


def test_a_failed_trial_has_its_reason_and_traceback(memory: BaseStorage, ledger: Ledger) -> None:
    ledger.fail(ask(ledger), Failure("ValueError: no", traceback="Traceback …"))
    stored = frozen(memory, 0)
    assert stored.state == TrialState.FAIL
    assert stored.user_attrs["reason"] == "ValueError: no"
    assert stored.user_attrs["traceback"] == "Traceback …"


def test_trials_read_back_as_they_were_told(ledger: Ledger) -> None:
    first, second = ask(ledger), ask(ledger)
    outcome = score(first.params)
    ledger.complete(first, outcome)
    ledger.fail(second, Failure("ValueError: no"))
    ask(ledger)
    complete, failed, running = ledger.trials()
    assert (complete.state, complete.params) == ("complete", first.params)
    assert complete.values == tuple(outcome.values)
    assert (complete.metrics, complete.run) == (outcome.metrics, outcome.run)
    assert complete.reason is None
    assert (failed.state, failed.values, failed.reason) == ("failed", None, "ValueError: no")
    assert (running.state, running.values, running.reason) == ("running", None, None)


def test_a_failure_of_its_own_is_not_tried_again(memory: BaseStorage, ledger: Ledger) -> None:
    ledger.fail(ask(ledger), Failure("ValueError: no"))
    assert states(memory) == ["FAIL"]


# --- the budget


def test_no_more_is_asked_than_the_budget(ledger: Ledger) -> None:
    assert run(ledger, 3) == 3
    assert ledger.ask(3, SEED) is None


def test_running_trials_count_towards_the_budget(ledger: Ledger) -> None:
    ask(ledger, budget=2)
    ask(ledger, budget=2)
    assert ledger.ask(2, SEED) is None


def test_failed_trials_do_not_count_towards_the_budget(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.fail(ask(ledger, budget=1), Failure("ValueError: no"))
    assert run(ledger, 1) == 1


def test_a_larger_budget_goes_on(ledger: Ledger) -> None:
    run(ledger, 2)
    assert run(ledger, 5) == 3


def test_two_drivers_in_turn_share_the_budget_exactly(
    memory: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pareto.ledger.LOOK_SECONDS", 0.0)
    drivers = [open_ledger(memory), open_ledger(memory)]
    tickets = [driver.ask(5, SEED) for _ in range(4) for driver in drivers]
    assert [ticket.number for ticket in tickets if ticket] == [0, 1, 2, 3, 4]
    assert states(memory) == ["RUNNING"] * 5


def search(place: tuple[str, int]) -> int:
    """Drive the study until its budget is complete; returns how many trials were ours."""
    url, budget = place
    ledger = open_ledger(connect(url))
    ran = 0
    while ledger.counts().complete < budget:
        ran += run(ledger, budget)
    return ran


def test_processes_at_once_share_the_budget_exactly(url: str) -> None:
    open_ledger(connect(url))
    ran = run_at_once(search, [(url, 12)] * 3)
    assert sum(ran) == 12
    assert states(connect(url)).count("COMPLETE") == 12
    assert "RUNNING" not in states(connect(url))


# --- trials whose worker or driver is gone


def test_a_lost_trial_is_tried_again_with_the_same_parameters(
    memory: BaseStorage, ledger: Ledger
) -> None:
    first = ask(ledger)
    ledger.fail(first, LOST)
    second = ask(ledger)
    assert (second.number, second.params) == (1, first.params)
    assert frozen(memory, 1).user_attrs["retry_of"] == 0


def test_a_retry_has_a_seed_of_its_own_number(ledger: Ledger) -> None:
    ledger.fail(ask(ledger), LOST)
    assert ask(ledger).seed == derive_seed(SEED, "trial", 1)


def test_lost_parameters_are_not_tried_for_ever(ledger: Ledger) -> None:
    tried = []
    for _ in range(MAX_ATTEMPTS + 1):
        ticket = ask(ledger)
        tried.append(ticket.params)
        ledger.fail(ticket, LOST)
    assert tried == [STARTING_POINTS[0]] * MAX_ATTEMPTS + [STARTING_POINTS[1]]


def test_a_live_drivers_trial_is_left_alone(memory: BaseStorage, ledger: Ledger) -> None:
    ask(ledger)
    assert open_ledger(memory).take_over_lost()[0] == 0
    assert states(memory) == ["RUNNING"]


def test_a_drivers_own_trials_need_no_watching(ledger: Ledger) -> None:
    ask(ledger)
    assert ledger.take_over_lost() == (0, 0)


def ask_and_wait(url: str, tickets: "SimpleQueue[Ticket]") -> None:
    ledger = open_ledger(connect(url))
    tickets.put(ask(ledger))
    signal.pause()


@pytest.fixture
def abandoned(url: str) -> tuple[str, Ticket]:
    """A storage with a trial whose driver was killed."""
    open_ledger(connect(url))
    tickets = CONTEXT.SimpleQueue()
    process = start(ask_and_wait, url, tickets)
    ticket = tickets.get()
    process.kill()
    process.join()
    return url, ticket


def test_the_trial_of_a_killed_driver_is_taken_over_at_once(
    abandoned: tuple[str, Ticket],
) -> None:
    url, ticket = abandoned
    ledger = open_ledger(connect(url))
    assert ledger.take_over_lost() == (1, 0)
    lost = ledger.trials()[0]
    assert (lost.state, lost.reason) == ("failed", "its driver died or was killed")
    assert ask(ledger).params == ticket.params
    assert frozen(connect(url), 1).user_attrs["retry_of"] == ticket.number


def test_one_driver_alone_takes_a_trial_over(abandoned: tuple[str, Ticket]) -> None:
    url, _ = abandoned
    taken = run_at_once(take_over, [url] * 3)
    assert sum(taken) == 1
    assert states(connect(url)) == ["FAIL", "WAITING"]


def take_over(url: str) -> int:
    return open_ledger(connect(url)).take_over_lost()[0]


@pytest.fixture
def run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases run out as soon as they are not renewed."""
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.0)
    monkeypatch.setattr(leases, "UNSIGNED_SECONDS", 0.0)


def look_twice(ledger: Ledger) -> int:
    """Have lost trials taken over, with the second look that unrenewed leases need."""
    return ledger.take_over_lost()[0] + ledger.take_over_lost()[0]


def move(ledger: Ledger, host: str) -> Ledger:
    """As if the ledger's driver ran on another machine."""
    ledger._driver = replace(ledger._driver, host=host)
    return ledger


@pytest.mark.usefixtures("run_out")
def test_a_lease_from_elsewhere_that_is_not_renewed_is_taken_over(memory: BaseStorage) -> None:
    ask(move(open_ledger(memory), "elsewhere"))
    assert look_twice(open_ledger(memory)) == 1


@pytest.mark.usefixtures("run_out")
@pytest.mark.parametrize("told", ["complete", "fail"])
def test_telling_after_a_take_over_changes_nothing(memory: BaseStorage, told: str) -> None:
    slow = move(open_ledger(memory), "elsewhere")
    ticket = ask(slow)
    look_twice(open_ledger(memory))
    before = frozen(memory, ticket.number)
    if told == "complete":
        slow.complete(ticket, score(ticket.params))
    else:
        slow.fail(ticket, LOST)
    assert frozen(memory, ticket.number) == before
    assert states(memory) == ["FAIL", "WAITING"]


@pytest.mark.usefixtures("run_out")
def test_a_driver_goes_on_after_its_trial_was_taken_over(memory: BaseStorage) -> None:
    slow = move(open_ledger(memory), "elsewhere")
    ticket = ask(slow)
    look_twice(open_ledger(memory))
    slow.renew_leases()
    slow.complete(ticket, score(ticket.params))
    assert ask(slow).params == ticket.params


@pytest.mark.usefixtures("run_out")
def test_a_trial_never_signed_is_taken_over(memory: BaseStorage, ledger: Ledger) -> None:
    study = optuna.load_study(study_name="cheap", storage=memory, sampler=sampler())
    study.ask(SPACE)
    assert look_twice(ledger) == 1
    assert ask(ledger).params == STARTING_POINTS[0]


def test_a_put_back_trial_is_given_time_to_be_signed_again(
    memory: BaseStorage, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = optuna.load_study(study_name="cheap", storage=memory, sampler=sampler())
    other = study.ask(SPACE)
    ledger.take_over_lost()
    memory.set_trial_state_values(other._trial_id, TrialState.WAITING)
    ledger.take_over_lost()
    monkeypatch.setattr(leases, "UNSIGNED_SECONDS", 0.0)  # in the meantime it would have run out
    study.ask(SPACE)
    assert ledger.take_over_lost() == (0, 1)


class SlowSampler(StudySampler):
    """Another driver looks around while this one still thinks, as a Gaussian process does."""

    def __init__(self, other: Ledger) -> None:
        super().__init__("random", SEED, [])
        self._other = other

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        look_twice(self._other)
        return super().sample_independent(study, trial, param_name, param_distribution)


def test_a_driver_that_thinks_for_long_before_it_signs_is_left_alone(
    memory: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "UNSIGNED_SECONDS", 0.0)
    other = open_ledger(memory)
    ticket = ask(open_ledger(memory, SlowSampler(other)))
    assert states(memory)[ticket.number] == "RUNNING"


@pytest.mark.usefixtures("run_out")
def test_a_driver_that_dies_while_asking_loses_no_starting_point(
    memory: BaseStorage, ledger: Ledger
) -> None:
    memory.create_new_trial(memory.get_study_id_from_name("cheap"))
    look_twice(ledger)
    assert ask(ledger).params == STARTING_POINTS[0]
