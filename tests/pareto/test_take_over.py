"""Trials whose worker or driver is gone: none stays running for ever, and none is run twice."""

import signal
from collections.abc import Callable
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
from pareto.ledger import MAX_ATTEMPTS, Ledger
from pareto.sampling.samplers import StudySampler
from pareto.trials.feed import settle
from pareto.trials.outcome import Failure, Ticket
from tests.pareto.cheap import (
    SEED,
    SPACE,
    STARTING_POINTS,
    ask,
    frozen,
    open_ledger,
    sampler,
    score,
    states,
)
from tests.pareto.processes import CONTEXT, run_at_once, start
from unlearn.seeds import derive_seed

LOST = Failure("its worker was ended by SIGKILL", lost=True)


def connect(url: str) -> BaseStorage:
    return storages.connect(url, writable=True)


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
    assert ledger.take_over_lost() == (0, set())


def ask_and_wait(url: str, tickets: "SimpleQueue[Ticket]") -> None:
    ledger = open_ledger(connect(url))
    tickets.put(ask(ledger))
    signal.pause()


@pytest.fixture
def abandoned(tmp_path: Path) -> tuple[str, Ticket]:
    """A storage with a trial whose driver was killed."""
    url = f"sqlite:///{tmp_path}/studies.db"
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
    assert ledger.take_over_lost() == (1, set())
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
    assert ledger.take_over_lost() == (0, {0})


def test_a_trial_that_is_put_back_is_nobodys(memory: BaseStorage, ledger: Ledger) -> None:
    ticket = ask(ledger)
    ledger.put_back(ticket)
    assert frozen(memory, ticket.number).user_attrs["lease"] is None


@pytest.mark.usefixtures("run_out")
def test_what_kills_every_driver_is_not_tried_for_ever(memory: BaseStorage) -> None:
    tried = []
    for number in range(MAX_ATTEMPTS + 1):
        tried.append(ask(move(open_ledger(memory), f"machine {number}")).params)
        look_twice(open_ledger(memory))
    assert tried == [STARTING_POINTS[0]] * MAX_ATTEMPTS + [STARTING_POINTS[1]]


@pytest.mark.usefixtures("run_out")
def test_a_trial_taken_over_is_not_put_back(memory: BaseStorage) -> None:
    slow = move(open_ledger(memory), "elsewhere")
    ticket = ask(slow)
    look_twice(open_ledger(memory))
    slow.put_back(ticket)
    assert states(memory) == ["FAIL", "WAITING"]


class SlowSampler(StudySampler):
    """A driver that thinks for long, as a Gaussian process does, or is stopped while it does."""

    def __init__(self, meanwhile: Callable[[int], object]) -> None:
        """
        Args:
            meanwhile: what another driver does; called with the trial's id in the storage.
        """
        super().__init__("random", SEED, [])
        self._meanwhile = meanwhile

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        self._meanwhile(trial._trial_id)
        return super().sample_independent(study, trial, param_name, param_distribution)


def test_a_driver_whose_trial_is_taken_over_while_it_asks_goes_on(memory: BaseStorage) -> None:
    other = open_ledger(memory)
    told = {"reason": "its driver died", "lost": True}
    stopped = open_ledger(memory, SlowSampler(lambda trial_id: other._finish(trial_id, told)))
    assert stopped.ask(10, SEED) is None
    stopped.renew_leases()
    assert states(memory) == ["FAIL"]
    assert ask(open_ledger(memory)).number == 1


def test_whoever_settles_does_not_wait_for_trials_that_begin_later(memory: BaseStorage) -> None:
    other, looks = move(open_ledger(memory), "elsewhere"), 0
    ticket = ask(other)

    class Busy(Ledger):
        """While this one looks, the other driver ends a trial and begins the next."""

        def take_over_lost(self) -> tuple[int, set[int]]:
            nonlocal ticket, looks
            looks += 1
            other.complete(ticket, score(ticket.params))
            ticket = ask(other)
            return super().take_over_lost()

    ledger = Busy(memory, "cheap", SPACE, sampler())
    settle(ledger)
    assert looks == 2


def test_a_driver_that_thinks_for_long_before_it_signs_is_left_alone(
    memory: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "UNSIGNED_SECONDS", 0.0)
    other = open_ledger(memory)
    ticket = ask(open_ledger(memory, SlowSampler(lambda _: look_twice(other))))
    assert states(memory)[ticket.number] == "RUNNING"


@pytest.mark.usefixtures("run_out")
def test_a_driver_renews_its_lease_while_it_thinks(memory: BaseStorage) -> None:
    other = open_ledger(memory)

    def live_on(_trial_id: int) -> None:
        for _ in range(3):
            thinking.renew_leases()
            other.take_over_lost()

    thinking = move(open_ledger(memory, SlowSampler(live_on)), "elsewhere")
    assert ask(thinking).number == 0
    assert states(memory) == ["RUNNING"]


def test_a_trial_that_was_being_asked_for_is_put_back(memory: BaseStorage) -> None:
    def lose_patience(_trial_id: int) -> None:
        raise KeyboardInterrupt

    ledger = open_ledger(memory, SlowSampler(lose_patience))
    with pytest.raises(KeyboardInterrupt):
        ledger.ask(10, SEED)
    ledger.put_back_all()
    assert states(memory) == ["WAITING"]
    assert ask(open_ledger(memory)) == ask(open_ledger(InMemoryStorage()))


@pytest.mark.usefixtures("run_out")
def test_a_driver_that_dies_while_asking_loses_no_starting_point(
    memory: BaseStorage, ledger: Ledger
) -> None:
    memory.create_new_trial(memory.get_study_id_from_name("cheap"))
    look_twice(ledger)
    assert states(memory) == ["FAIL"]
    assert ask(ledger).params == STARTING_POINTS[0]
