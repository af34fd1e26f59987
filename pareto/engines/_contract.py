"""What an engine is given, and what it promises."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch

from pareto.outcome import Failure, Outcome, Ticket

T = TypeVar("T")
Announce = Callable[[str], None]
RunTrial = Callable[[Ticket], Outcome | Failure]
MakeRunner = Callable[[torch.device], RunTrial]
INTERRUPTED = Failure("interrupted", lost=True)


class TrialSource(Protocol):
    """Where tickets come from and where results go; used by one thread."""

    @property
    def finished(self) -> bool:
        """No ticket will be given any more."""

    def next(self) -> Ticket | None:
        """The next trial to run; None if there is none at the moment."""

    def report(self, ticket: Ticket, result: Outcome | Failure) -> None:
        """Hand in what came of a ticket; every ticket is reported or put back, exactly once."""

    def put_back(self, ticket: Ticket) -> None:
        """Hand in a ticket that was not begun."""


class Engine(Protocol):
    """Does work where its workers are.

    Attributes:
        workers: how many trials it runs at a time.
    """

    workers: int

    def call(self, work: Callable[[torch.device, Announce], T], announce: Announce) -> T:
        """Do something once, on a device like those that trials run on, with it to itself.

        Args:
            work: given the device, and whom to tell of its progress.
        """

    def run(self, source: TrialSource, make_runner: MakeRunner) -> None:
        """Run trials until the source is finished and every ticket is reported.

        A KeyboardInterrupt stops it at once: tickets in hand are reported as lost, workers are
        ended, and the exception goes on.

        Args:
            make_runner: called once by every worker, on its device; has to be picklable.

        Raises:
            EngineError: no worker can be made.
        """
