"""What an engine is given, and what it promises."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch

from pareto.trials.outcome import Failure, Outcome, Ticket

T = TypeVar("T")
Task = TypeVar("Task")
Result = TypeVar("Result")
Reported = TypeVar("Reported", contravariant=True)
Announce = Callable[[str], None]
RunTrial = Callable[[Ticket], Outcome | Failure]
Make = Callable[[torch.device], Callable[[Task], Result | Failure]]
MakeRunner = Make[Ticket, Outcome]
INTERRUPTED = Failure("interrupted", lost=True)


class Source(Protocol[Task, Reported]):
    """Where tasks come from and where results go; used by one thread."""

    @property
    def finished(self) -> bool:
        """No task will be given any more."""

    def next(self) -> Task | None:
        """The next one to do; None if there is none at the moment."""

    def report(self, task: Task, result: Reported | Failure) -> None:
        """Hand in what came of a task; every one is reported or put back, exactly once."""

    def put_back(self, task: Task) -> None:
        """Hand in a task that was not begun."""


TrialSource = Source[Ticket, Outcome]


class Workers(Protocol):
    """Processes of this machine, or this process itself.

    Attributes:
        device: of the first of them.
    """

    device: torch.device

    def run(self, source: Source[Task, Result], make_runner: Make[Task, Result]) -> None:
        """As `Engine.run`, of tasks of any kind; afterwards no worker keeps a device busy."""


Work = Callable[[Workers, Announce], T]


class Engine(Protocol):
    """Does work where its workers are.

    Attributes:
        workers: how many trials it runs at a time.
    """

    workers: int

    def call(self, work: Work[T], announce: Announce, side_by_side: int = 1) -> T:
        """Do something once, on devices like those that trials run on, which nothing else uses.

        Args:
            work: given the workers that there are, and whom to tell of its progress.
            side_by_side: how many workers it has something to do for at a time.
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
