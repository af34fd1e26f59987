"""Calibrated runtime against the stopwatch, on configurations that have the machine to themselves.

    python -m benchmarks.calibration --images cifar10

A study is prepared and calibrated anew, as a search does it. Then configurations from all over the
search space run one after the other, with nothing precomputed, so that all they are charged for is
really done. They do so several times, by turns, and the median counts: by how much single runs
differ from it is the noise of the machine. Errors are those of the calibrated seconds, in percent
of the stopwatch's.
"""

import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

import studies
from benchmarks._command import Settings, main
from benchmarks._report import Row
from benchmarks._studies import Case, draw_tickets, of_images, prepare
from objectives.runtime import UnitTimes, calibrated_seconds
from pareto.devices import choose_devices, use_one_thread
from pareto.groundwork import Groundwork
from studies import Definition
from unlearn.stopwatch import Phase, Stopwatch

ROUNDS = 3
"""How many times a configuration is run."""

FURTHEST = 3
"""How many of the worst configurations are shown."""


@dataclass(frozen=True)
class Run:
    """One configuration that was run alone.

    Attributes:
        what: its parameters.
        phases: its work, and what the stopwatch said: the median of all times.
        each: seconds of every single time.
    """

    what: str
    phases: Mapping[str, Phase]
    each: Sequence[float]

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases.values())


def measure(settings: Settings) -> Iterator[Row]:
    """On the digits and, given images, on a part of these."""
    device = choose_devices(settings.device)[0]
    for case in cases(settings):
        ground = prepare_anew(case.definition, device)
        assert ground.unit_times is not None
        yield from rows(case.definition.name, ground.unit_times, run_alone(case, ground, device))


def cases(settings: Settings) -> Iterator[Case]:
    """What the settings allow."""
    trials = 5 if settings.quick else 40
    yield Case(studies.load("digits"), trials)
    if settings.images is not None:
        sizes = (1000, 400) if settings.quick else (3000, 1000)
        yield Case(of_images(settings, "small-cnn", *sizes), trials)


def prepare_anew(definition: Definition, device: torch.device) -> Groundwork:
    """What a search does before its first trial, with nothing left of an earlier one."""
    with TemporaryDirectory() as folder, cache_in(folder):
        return prepare(definition, device, Path(folder))


@contextmanager
def cache_in(folder: str) -> Iterator[None]:
    """Let this process have another folder for what it remembers."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
    yield
    del os.environ["XDG_CACHE_HOME"]
    if before is not None:
        os.environ["XDG_CACHE_HOME"] = before


def run_alone(case: Case, ground: Groundwork, device: torch.device) -> list[Run]:
    """Run the configurations of a case in this process."""
    use_one_thread()
    definition, prepared = case.definition, ground.prepared
    problem = prepared.material.problem(prepared.original, device)
    tickets = draw_tickets(case)
    rounds: list[list[Stopwatch]] = []
    for _ in range(ROUNDS):
        rounds.append([Stopwatch(device) for _ in tickets])
        for ticket, stopwatch in zip(tickets, rounds[-1], strict=True):
            config = definition.config(ticket.params)
            definition.unlearning.unlearn(problem, config, ticket.seed, stopwatch, None)
    return [
        summed_up(", ".join(f"{name} {value:.3g}" for name, value in ticket.params.items()), times)
        for ticket, times in zip(tickets, zip(*rounds, strict=True), strict=True)
    ]


def summed_up(what: str, times: Sequence[Stopwatch]) -> Run:
    """A configuration that was run several times."""
    medians = {
        name: Phase(phase.work, statistics.median(one.phases[name].seconds for one in times))
        for name, phase in times[0].phases.items()
    }
    return Run(what, medians, [one.seconds for one in times])


def rows(name: str, units: UnitTimes, runs: Sequence[Run]) -> Iterator[Row]:
    """
    Args:
        name: of the study.
        runs: at least one.
    """
    whole = [percent(calibrated_seconds(run.phases, units), run.seconds) for run in runs]
    yield Row.of(f"{name}: |error|", np.abs(whole).tolist(), "%", notes=spread(whole))
    noise = [percent(time, statistics.median(run.each)) for run in runs for time in run.each]
    yield Row.of(f"{name}: |noise| of a run", np.abs(noise).tolist(), "%", notes=spread(noise))
    total = sum(run.seconds for run in runs)
    for phase in runs[0].phases:
        spent = [run.phases[phase] for run in runs]
        errors = [percent(units[phase].price(each.work), each.seconds) for each in spent]
        share = 100 * sum(each.seconds for each in spent) / total
        notes = f"{spread(errors)}; {share:.1f} % of the time"
        yield Row.of(f"{name}: |error| of {phase}", np.abs(errors).tolist(), "%", notes=notes)
    furthest = sorted(range(len(runs)), key=lambda n: -abs(whole[n]))[:FURTHEST]
    for place, number in enumerate(furthest, 1):
        what = f"{name}: furthest off, {place}"
        notes = f"{runs[number].what}: {accounted(runs[number], units)}"
        yield Row.of(what, [whole[number]], "%", notes=notes)


def percent(calibrated: float, stopwatch: float) -> float:
    """The relative error."""
    return 100 * (calibrated / stopwatch - 1)


def spread(errors: Sequence[float]) -> str:
    """Beside the median: how bad it gets, and in which direction."""
    tail = np.quantile(np.abs(errors), 0.95)
    return f"95th percentile {tail:.1f} %, bias {np.median(errors):+.1f} %"


def accounted(run: Run, units: UnitTimes) -> str:
    """Of each phase the work, and the milliseconds that were counted and measured for it."""
    parts = []
    for name, phase in run.phases.items():
        counted, measured = 1000 * units[name].price(phase.work), 1000 * phase.seconds
        work = f"{phase.work.steps} steps, {phase.work.samples} samples"
        parts.append(f"{name} {counted:.3g} for {measured:.3g} ms ({work})")
    return "; ".join(parts)


if __name__ == "__main__":
    main("calibration", __doc__, measure)
