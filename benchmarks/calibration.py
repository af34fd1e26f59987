"""Calibrated runtime against the stopwatch, on configurations that have the machine to themselves.

    python -m benchmarks.calibration --images cifar10

Configurations from all over the search space run one after the other, with nothing precomputed, so
that all they are charged for is really done. They take turns with calibrations like that of a
search, a few at a time, in several rounds, of which the median counts: a machine that works slower
for a while shifts the prices of a search all alike, and is no error of the calibration. Errors are
those of the calibrated seconds, in percent of the stopwatch's. Noise is by how much single times of
the stopwatch, and single calibrations, differ from their medians.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

import studies
from benchmarks._command import Settings, main
from benchmarks._report import Row
from benchmarks._studies import Case, draw_tickets, of_images, prepare
from objectives.runtime import UnitTimes
from pareto.devices import choose_devices, use_one_thread
from pareto.preparation import Prepared
from pareto.trial import TrialRunner
from unlearn.stopwatch import Phase, Stopwatch, Work

ROUNDS = 3
"""How many times a configuration is run."""

TURN = 8
"""How many configurations run between two calibrations."""

FURTHEST = 3
"""How many of the worst configurations are shown."""


@dataclass(frozen=True)
class Run:
    """One configuration that was run alone, several times.

    Attributes:
        what: its parameters.
        work: of each phase.
        counted, measured: the calibrated seconds of each phase, and the stopwatch's.
        each_counted, each_measured: the seconds of every single time.
    """

    what: str
    work: Mapping[str, Work]
    counted: Mapping[str, float]
    measured: Mapping[str, float]
    each_counted: Sequence[float]
    each_measured: Sequence[float]


def measure(settings: Settings) -> Iterator[Row]:
    """On the digits and, given images, on a part of these."""
    device = choose_devices(settings.device)[0]
    for case in cases(settings):
        prepared = prepare(case.definition, device, settings.workspace).prepared
        yield from rows(case.definition.name, run_alone(case, prepared, device))


def cases(settings: Settings) -> Iterator[Case]:
    """What the settings allow."""
    trials = 5 if settings.quick else 40
    yield Case(studies.load("digits"), trials)
    if settings.images is not None:
        sizes = (1000, 400) if settings.quick else (3000, 1000)
        yield Case(of_images(settings, "small-cnn", *sizes), trials)


def run_alone(case: Case, prepared: Prepared, device: torch.device) -> list[Run]:
    """Run the configurations of a case in this process."""
    use_one_thread()
    definition, runner = case.definition, TrialRunner(prepared, device)
    problem = prepared.material.problem(prepared.original, device)
    tickets = draw_tickets(case)
    timed: dict[int, list[tuple[UnitTimes, Mapping[str, Phase]]]] = defaultdict(list)
    for _ in range(ROUNDS):
        for position, ticket in enumerate(tickets):
            if position % TURN == 0:
                units = runner.calibrate()
            stopwatch, config = Stopwatch(device), definition.config(ticket.params)
            definition.unlearning.unlearn(problem, config, ticket.seed, stopwatch, None)
            timed[position].append((units, stopwatch.phases))
    return [
        summed_up(
            ", ".join(f"{name} {value:.3g}" for name, value in ticket.params.items()),
            timed[position],
        )
        for position, ticket in enumerate(tickets)
    ]


def summed_up(what: str, rounds: Sequence[tuple[UnitTimes, Mapping[str, Phase]]]) -> Run:
    """A configuration that was run in each round.

    Args:
        rounds: the calibration before it in each, and what the stopwatch said.
    """
    work = {name: phase.work for name, phase in rounds[0][1].items()}

    def counted(units: UnitTimes) -> dict[str, float]:
        return {name: units[name].price(amount) for name, amount in work.items()}

    return Run(
        what,
        work,
        _medians([counted(units) for units, _ in rounds]),
        _medians([{name: phase.seconds for name, phase in run.items()} for _, run in rounds]),
        [sum(counted(units).values()) for units, _ in rounds],
        [sum(phase.seconds for phase in run.values()) for _, run in rounds],
    )


def _medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def rows(name: str, runs: Sequence[Run]) -> Iterator[Row]:
    """
    Args:
        name: of the study.
        runs: at least one.
    """
    seconds = [sum(run.measured.values()) for run in runs]
    whole = [
        percent(sum(run.counted.values()), alone) for run, alone in zip(runs, seconds, strict=True)
    ]
    yield Row.of(f"{name}: |error|", np.abs(whole).tolist(), "%", notes=spread(whole))
    for source, singles in (
        ("the stopwatch", [run.each_measured for run in runs]),
        ("a calibration", [run.each_counted for run in runs]),
    ):
        noise = [percent(time, statistics.median(each)) for each in singles for time in each]
        what = f"{name}: |noise| of {source}"
        yield Row.of(what, np.abs(noise).tolist(), "%", notes=spread(noise))
    for phase in runs[0].work:
        errors = [percent(run.counted[phase], run.measured[phase]) for run in runs]
        share = 100 * sum(run.measured[phase] for run in runs) / sum(seconds)
        notes = f"{spread(errors)}; {share:.1f} % of the time"
        yield Row.of(f"{name}: |error| of {phase}", np.abs(errors).tolist(), "%", notes=notes)
    furthest = sorted(range(len(runs)), key=lambda n: -abs(whole[n]))[:FURTHEST]
    for place, number in enumerate(furthest, 1):
        what = f"{name}: furthest off, {place}"
        notes = f"{runs[number].what}: {accounted(runs[number])}"
        yield Row.of(what, [whole[number]], "%", notes=notes)


def percent(calibrated: float, stopwatch: float) -> float:
    """The relative error."""
    return 100 * (calibrated / stopwatch - 1)


def spread(errors: Sequence[float]) -> str:
    """Beside the median: how bad it gets, and in which direction."""
    tail = np.quantile(np.abs(errors), 0.95)
    return f"95th percentile {tail:.1f} %, bias {np.median(errors):+.1f} %"


def accounted(run: Run) -> str:
    """Of each phase the work, and the milliseconds that were counted and measured for it."""
    parts = []
    for name, work in run.work.items():
        counted, measured = 1000 * run.counted[name], 1000 * run.measured[name]
        amount = f"{work.steps} steps, {work.samples} samples"
        parts.append(f"{name} {counted:.3g} for {measured:.3g} ms ({amount})")
    return "; ".join(parts)


if __name__ == "__main__":
    main("calibration", __doc__, measure)
