"""What an engine is fed with: trials of a study, until its budget is met."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pareto.errors import OnlyFailures
from pareto.leases import BEAT_SECONDS
from pareto.ledger import Ledger
from pareto.outcome import Failure, Outcome, Ticket
from pareto.stop_request import StopRequest
from pareto.study import Study

LOOK_AROUND_SECONDS = 1.0


@dataclass(frozen=True)
class Progress:
    """Where a search stands after a trial.

    Attributes:
        complete, failed: trials so far, over the study's life.
        budget: how many complete ones it shall have.
        front: how many are on the front.
        hypervolume: share of the ideal box; see `Study.hypervolume_share`.
    """

    complete: int
    failed: int
    budget: int
    front: int
    hypervolume: float


class TrialFeed:
    """Gives an engine its tickets and records what comes of them."""

    def __init__(
        self,
        ledger: Ledger,
        budget: int,
        study_seed: int,
        max_failures: int,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.stop = StopRequest()
        self._ledger = ledger
        self._budget = budget
        self._study_seed = study_seed
        self._max_failures = max_failures
        self._on_progress = on_progress
        self._reasons: list[str] = []
        self._looked_around = -LOOK_AROUND_SECONDS
        self._lease_error: Exception | None = None

    @property
    def finished(self) -> bool:
        return (
            self.stop.requested
            or len(self._reasons) >= self._max_failures
            or self._ledger.counts().complete >= self._budget
        )

    def next(self) -> Ticket | None:
        if self._lease_error is not None:
            raise self._lease_error
        now = time.monotonic()
        if now - self._looked_around >= LOOK_AROUND_SECONDS:
            self._looked_around = now
            self._ledger.take_over_lost()
        return self._ledger.ask(self._budget, self._study_seed)

    def report(self, ticket: Ticket, result: Outcome | Failure) -> None:
        if isinstance(result, Failure):
            self._ledger.fail(ticket, result)
            self._reasons.append(result.reason)
        elif (defect := result.defect()) is not None:
            self._ledger.fail(ticket, Failure(defect))
            self._reasons.append(defect)
        else:
            self._ledger.complete(ticket, result)
            self._reasons.clear()
        self._on_progress(self._progress())

    def settle(self) -> None:
        """See to it that no trial of a dead driver is left running."""
        while self._ledger.take_over_lost()[1]:
            time.sleep(LOOK_AROUND_SECONDS / 4)

    def raise_if_only_failures(self) -> None:
        if len(self._reasons) >= self._max_failures:
            reason, times = Counter(self._reasons).most_common(1)[0]
            raise OnlyFailures(
                f"the last {len(self._reasons)} trials failed, {times} of them with: {reason}",
                "see `pareto-search show --format json` for the reason of each",
            )

    @contextmanager
    def leases_renewed(self) -> Iterator[None]:
        """Renew the leases in the background while the block runs."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(BEAT_SECONDS):
                try:
                    self._ledger.renew_leases()
                except Exception as error:  # raised in the driver's thread, by `next`
                    self._lease_error = error
                    return

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _progress(self) -> Progress:
        study = Study(self._ledger, "")
        counts = self._ledger.counts()
        return Progress(
            counts.complete,
            counts.failed,
            self._budget,
            len(study.front()),
            study.hypervolume_share(),
        )
