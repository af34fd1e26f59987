"""What an engine is given, and what it promises."""

from typing import Protocol

from pareto.outcome import Failure, Outcome, Ticket


class TrialSource(Protocol):
    """Where tickets come from and where results go; used by one thread."""

    @property
    def finished(self) -> bool:
        """No ticket will be given any more."""

    def next(self) -> Ticket | None:
        """The next trial to run; None if there is none at the moment."""

    def report(self, ticket: Ticket, result: Outcome | Failure) -> None:
        """Hand in what came of a ticket; every ticket is reported exactly once."""


class Engine(Protocol):
    """Runs trials until its source is finished and every ticket is reported.

    A KeyboardInterrupt stops it at once: tickets in hand are reported as lost, workers are ended,
    and the exception goes on.
    """

    def run(self, source: TrialSource) -> None: ...
