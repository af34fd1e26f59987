"""What an engine is fed with, and when that ends."""

import itertools
import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
import torch
from optuna.storages import InMemoryStorage

from pareto.engines import SerialEngine
from pareto.errors import OnlyFailures
from pareto.ledger import Ledger
from pareto.trials.feed import TrialFeed
from pareto.trials.outcome import Failure, Ticket
from pareto.trials.plans import BudgetPlan
from tests.pareto.cheap import SEED, open_ledger, score

BROKEN = Failure("ValueError: no")
REMEDY = "look"
OURS = f"{os.sep}pareto{os.sep}"


def feed_of(ledger: Ledger, budget: int, max_failures: int = 2) -> TrialFeed:
    return TrialFeed(ledger, BudgetPlan(ledger, budget, SEED), max_failures, lambda: None)


def take(feed: TrialFeed, count: int) -> list[Ticket]:
    tickets = [feed.next() for _ in range(count)]
    return [ticket for ticket in tickets if ticket is not None]


def test_failures_in_a_row_end_the_work_and_a_success_between_them_does_not(
    ledger: Ledger,
) -> None:
    feed = feed_of(ledger, 9)
    first, second, third, last = take(feed, 4)
    feed.report(first, BROKEN)
    feed.report(second, score(second.params))
    feed.report(third, BROKEN)
    assert not feed.finished
    feed.report(last, BROKEN)
    assert feed.finished
    with pytest.raises(OnlyFailures, match="2 trials failed in a row, 2 of them with: ValueError"):
        feed.raise_if_only_failures(REMEDY)


def test_the_end_stays_the_end_when_what_still_ran_succeeds(ledger: Ledger) -> None:
    feed = feed_of(ledger, 9)
    first, second, third = take(feed, 3)
    feed.report(first, BROKEN)
    feed.report(second, BROKEN)
    feed.report(third, score(third.params))
    assert feed.finished
    with pytest.raises(OnlyFailures):
        feed.raise_if_only_failures(REMEDY)


def test_a_plan_that_was_carried_out_nevertheless_is_no_failure(ledger: Ledger) -> None:
    feed = feed_of(ledger, 1, max_failures=1)
    (failing,) = take(feed, 1)
    feed.report(failing, BROKEN)
    (succeeding,) = take(feed, 1)
    feed.report(succeeding, score(succeeding.params))
    assert feed.finished
    feed.raise_if_only_failures(REMEDY)


class Interrupter:
    """Two signals in the n-th line of our own that is carried out while they stop a feed."""

    def __init__(self, feed: TrialFeed, at: int) -> None:
        self.left = at
        self._feed = feed

    def trace(self, frame: FrameType, event: str, _argument: object) -> Any:
        if OURS not in frame.f_code.co_filename:
            return None
        if event == "line" and signal.getsignal(signal.SIGINT) == self._feed.stop._handle:
            self.left -= 1
            if self.left == 0:
                for _ in range(2):
                    os.kill(os.getpid(), signal.SIGINT)
        return self.trace


def test_what_an_exception_interrupts_is_put_back(ledger: Ledger) -> None:
    feed = feed_of(ledger, 4)

    def take_two_and_break_down() -> None:
        with feed.at_work():
            assert len(take(feed, 2)) == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        take_two_and_break_down()
    assert [trial.state for trial in ledger.trials()] == ["waiting"] * 2


def interrupted_at(line: int, engine: SerialEngine) -> tuple[Ledger, bool]:
    """The ledger of a search of four trials that was interrupted then, if it took so long."""
    ledger = open_ledger(InMemoryStorage())
    feed = feed_of(ledger, 4)
    interrupter = Interrupter(feed, line)
    before = sys.gettrace()
    with suppress(KeyboardInterrupt), feed.at_work():
        sys.settrace(interrupter.trace)
        try:
            engine.run(feed, lambda _device: lambda ticket: score(ticket.params))
        finally:
            sys.settrace(before)
    return ledger, interrupter.left <= 0


def test_no_trial_is_left_running_whenever_the_second_signal_comes() -> None:
    engine, lines = SerialEngine(torch.device("cpu")), 0
    for line in itertools.count(1, 7):
        ledger, was_interrupted = interrupted_at(line, engine)
        counts = ledger.counts()
        assert counts.running == 0, f"in line {line}"
        if not was_interrupted:
            assert counts.complete == 4
            break
        lines += 1
    assert lines > 30


def test_what_takes_too_long_is_left_in_the_middle(ledger: Ledger) -> None:
    stop = feed_of(ledger, 1).stop

    def hang() -> None:
        with stop.on_signals(), stop.deferred():
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
            raise AssertionError("it has waited")

    with pytest.raises(KeyboardInterrupt):
        hang()
