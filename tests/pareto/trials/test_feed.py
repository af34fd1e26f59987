"""What an engine is fed with, and when that ends."""

import pytest

from pareto.errors import OnlyFailures
from pareto.ledger import Ledger
from pareto.trials.feed import TrialFeed
from pareto.trials.outcome import Failure, Ticket
from pareto.trials.plans import BudgetPlan
from tests.pareto.cheap import SEED, score

BROKEN = Failure("ValueError: no")
REMEDY = "look"


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
