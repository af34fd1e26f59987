"""What a request costs, phase by phase: counted work and seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Work:
    """The countable work of a phase; the same on every device.

    Attributes:
        steps: model updates or calls.
        samples: that went through.
        eager: updates that a GPU is told order by order, where it replays the others from a
            recording (`unlearn.recording`).
        recordings: that it makes for that, each in the course of an update.
    """

    steps: int = 0
    samples: int = 0
    eager: int = 0
    recordings: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.steps + other.steps,
            self.samples + other.samples,
            self.eager + other.eager,
            self.recordings + other.recordings,
        )


@dataclass(frozen=True)
class Phase:
    """One phase of a request: its work, and the seconds it took."""

    work: Work
    seconds: float


class Stopwatch:
    """Collects the phases of one request on one device.

    On a GPU the device is synchronised at both ends of a phase, because kernels run on after the
    call that launched them has returned.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.phases: dict[str, Phase] = {}

    @contextmanager
    def phase(self, name: str, work: Work) -> Iterator[None]:
        """Time the block as part of phase `name`."""
        started = self.now()
        yield
        self.charge(name, Phase(work, self.now() - started))

    def charge(self, name: str, phase: Phase) -> None:
        """Count a phase, such as one that was carried out before and is used again here."""
        before = self.phases.get(name, Phase(Work(), 0.0))
        self.phases[name] = Phase(before.work + phase.work, before.seconds + phase.seconds)

    @property
    def seconds(self) -> float:
        """The sum over all phases."""
        return sum(phase.seconds for phase in self.phases.values())

    def now(self) -> float:
        """Seconds on a clock, once the device has done all that it was told to do."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
