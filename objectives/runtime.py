"""What a request costs (RTE), counted in work and priced by a calibration.

A stopwatch tells the truth only about a device that does nothing else. `calibrated` runtime
instead counts the work of each phase and multiplies it by unit times, which are measured once per
study with the device to itself: trials may then share the device, and a study may move to another
machine.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from unlearn.stopwatch import Phase, Stopwatch, Work

ROUNDS, SECONDS = 4, 60.0
"""Of a calibration, at most."""

AGREEMENT = 0.02
"""Two rounds whose durations differ by no larger share are enough."""


@dataclass(frozen=True)
class UnitTime:
    """Seconds per step and per sample of one phase and, on devices that replay updates, what an
    eager update and a recording take more."""

    step: float
    sample: float
    eager: float = 0.0
    recording: float = 0.0

    def price(self, work: Work) -> float:
        """Seconds that so much work takes."""
        return (
            work.steps * self.step
            + work.samples * self.sample
            + work.eager * self.eager
            + work.recordings * self.recording
        )

    def scaled(self, factor: float) -> "UnitTime":
        """All of them times the factor."""
        return UnitTime(*(factor * seconds for seconds in astuple(self)))


UnitTimes = Mapping[str, UnitTime]
"""By the name of the phase."""


def calibrated_seconds(phases: Mapping[str, Phase], units: UnitTimes) -> float:
    """The calibrated cost of a request: Σ over its phases of work × unit time."""
    return sum(units[name].price(phase.work) for name, phase in phases.items())


def fit_unit_times(
    observed: Mapping[str, Sequence[Phase]], *, replays: bool = False
) -> dict[str, UnitTime]:
    """Unit times, by phase, that explain observed phases best: least squares of the relative
    error with no time negative. Phases without work or without time say nothing.

    Args:
        replays: whether the device replays updates, so that eager ones and recordings have prices
            of their own.
    """
    from scipy.optimize import nnls  # takes a third of a second, in every process

    units: dict[str, UnitTime] = {}
    for name, phases in observed.items():
        telling = [p for p in phases if p.seconds > 0 and (p.work.steps or p.work.samples)]
        if not telling:
            units[name] = UnitTime(0.0, 0.0)
            continue
        rows = np.array([astuple(p.work) for p in telling], dtype=float)
        rows[:, 2:] *= replays
        seconds = np.array([p.seconds for p in telling])
        solution, _residual = nnls(rows / seconds[:, None], np.ones(len(telling)))
        units[name] = UnitTime(*map(float, solution))
    return units


def calibrate(
    probes: Sequence[Callable[[], Stopwatch]], *, replays: bool = False
) -> dict[str, UnitTime]:
    """Measure unit times; the device must have nothing else to do.

    Args:
        probes: requests of different sizes, each of which runs once per call and returns its
            stopwatch. They take turns, so that a slow moment of the machine hits all of them,
            after the first one has run once to warm up, until two rounds in a row agree, for
            `ROUNDS` rounds at most and no longer once `SECONDS` have passed.
        replays: as `fit_unit_times` takes it.

    Returns:
        Unit times fitted to the median duration of each phase of each probe.
    """
    probes[0]()
    rounds: list[list[Stopwatch]] = []
    started = time.perf_counter()
    while not rounds or not (
        _agree(rounds) or len(rounds) == ROUNDS or time.perf_counter() - started > SECONDS
    ):
        rounds.append([probe() for probe in probes])
    observed: dict[str, list[Phase]] = {}
    for runs in zip(*rounds, strict=True):
        for name, phase in runs[0].phases.items():
            median = statistics.median(run.phases[name].seconds for run in runs)
            observed.setdefault(name, []).append(Phase(phase.work, median))
    return fit_unit_times(observed, replays=replays)


def _agree(rounds: Sequence[Sequence[Stopwatch]]) -> bool:
    """Whether the last two rounds, if there are two, took nearly the same time."""
    took = [sum(stopwatch.seconds for stopwatch in each) for each in rounds[-2:]]
    return len(took) == 2 and max(took) - min(took) <= AGREEMENT * max(took)
