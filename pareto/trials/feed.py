"""What an engine is fed with: trials of a study, until its plan is carried out."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pareto.errors import OnlyFailures, StorageError
from pareto.leases import beating
from pareto.ledger import Ledger
from pareto.trials.outcome import Failure, Outcome, Ticket
from pareto.trials.plans import Plan
from pareto.trials.stop_request import StopRequest
from unlearn.errors import InputError

LOOK_AROUND_SECONDS = 1.0


class TrialFeed:
    """Gives an engine its tickets and records what comes of them."""

    def __init__(
        self,
        ledger: Ledger,
        plan: Plan,
        max_failures: int,
        on_report: Callable[[], None],
    ) -> None:
        """
        Args:
            max_failures: failures in a row, without a success, that end the work. What still runs
                then changes nothing any more: an engine that was told of the end may believe it.
            on_report: called after every trial.
        """
        self.stop = StopRequest()
        self._ledger = ledger
        self._plan = plan
        self._max_failures = max_failures
        self._on_report = on_report
        self._reasons: list[str] = []
        self._looked_around = -LOOK_AROUND_SECONDS
        self._lease_error: Exception | None = None

    @property
    def finished(self) -> bool:
        return self.stop.requested or self._only_fails or self._plan.carried_out

    @property
    def _only_fails(self) -> bool:
        return len(self._reasons) >= self._max_failures

    def next(self) -> Ticket | None:
        if self._lease_error is not None:
            raise self._lease_error
        with self.stop.deferred():
            now = time.monotonic()
            if now - self._looked_around >= LOOK_AROUND_SECONDS:
                self._looked_around = now
                self._ledger.take_over_lost()
            return self._plan.take()

    def report(self, ticket: Ticket, result: Outcome | Failure) -> None:
        with self.stop.deferred():
            if isinstance(result, Failure):
                self._ledger.fail(ticket, result)
                self._reasons.append(result.reason)
            elif (defect := result.defect()) is not None:
                self._ledger.fail(ticket, Failure(defect))
                self._reasons.append(defect)
            else:
                self._ledger.complete(ticket, result)
                if not self._only_fails:
                    self._reasons.clear()
        self._on_report()

    def put_back(self, ticket: Ticket) -> None:
        with self.stop.deferred():
            self._ledger.put_back(ticket)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While an engine is fed: leases are renewed, signals stop it, and what an exception
        left in nobody's hands is put back."""
        with self.stop.on_signals(), beating(self._renew_leases):
            try:
                yield
            except StorageError:
                raise  # there is nowhere to put anything
            except BaseException:  # of whatever kind, it leaves trials that nobody runs
                with self.stop.deferred():
                    self._ledger.put_back_all()
                raise

    def raise_if_only_failures(self, remedy: str) -> None:
        if self._only_fails and not self._plan.carried_out:
            reason, times = Counter(self._reasons).most_common(1)[0]
            raise OnlyFailures(
                f"{len(self._reasons)} trials failed in a row, {times} of them with: {reason}",
                remedy,
            )

    def _renew_leases(self) -> bool:
        try:
            self._ledger.renew_leases()
        except Exception as error:  # raised in the driver's thread, by `next`
            self._lease_error = error
        return self._lease_error is None


def check_max_failures(max_failures: int) -> None:
    """
    Raises:
        InputError: so few failures in a row can end nothing.
    """
    if max_failures < 1:
        raise InputError(f"{max_failures} failures in a row end no search", "use 1 or more")


def settle(ledger: Ledger) -> None:
    """See to it that no trial of a dead driver is left running, of those that run by now."""
    waiting = ledger.take_over_lost()[1]
    while waiting:
        time.sleep(LOOK_AROUND_SECONDS / 4)
        waiting &= ledger.take_over_lost()[1]
