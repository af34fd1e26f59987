"""Calibrated runtime against the stopwatch, on configurations that have the machine to themselves.

    python -m benchmarks.calibration --images cifar10

Configurations from all over the search space run one after the other, with nothing precomputed, so
that all they are charged for is really done. They take turns with calibrations like that of a
search, in several rounds, of which the fastest counts: what else a machine does makes everything
slower, and never faster. Errors are those of the calibrated seconds, in percent of the stopwatch's.
A search has one calibration, whose prices are told in terms of a retraining that is timed with it;
how well it prices trials against each other is a row of its own. Noise is by how much single times
of the stopwatch, and single calibrations, exceed their fastest.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

import studies
from benchmarks._command import Settings, main
from benchmarks._report import Row
from benchmarks._studies import Case, draw_tickets, of_images, prepare
from objectives.runtime import UnitTimes
from pareto.engines.devices import choose_devices, use_one_thread
from pareto.preparation.calibration import unit_times
from pareto.preparation.prepared import Prepared
from unlearn.stopwatch import Phase, Stopwatch, Work

ROUNDS = 5
"""How many times a configuration is run."""

TURN = 20
"""How many configurations run between two calibrations."""

FURTHEST = 3
"""How many of the worst configurations are shown."""


@dataclass(frozen=True)
class Run:
    """One configuration that was run alone, several times.

    Attributes:
        what: its parameters.
        work: of each phase.
        counted: the seconds of each phase, by each calibration.
        measured: the stopwatch's seconds of each phase, every time.
    """

    what: str
    work: Mapping[str, Work]
    counted: Sequence[Mapping[str, float]]
    measured: Sequence[Mapping[str, float]]


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
    definition = case.definition
    problem = prepared.material.problem(prepared.original, device)
    tickets = draw_tickets(case)
    calibrations: list[UnitTimes] = []
    timed: list[list[Mapping[str, Phase]]] = [[] for _ in tickets]
    for _ in range(ROUNDS):
        for position, ticket in enumerate(tickets):
            if position % TURN == 0:
                calibrations.append(unit_times(prepared, device))
            stopwatch, config = Stopwatch(device), definition.config(ticket.params)
            definition.unlearning.unlearn(problem, config, ticket.seed, stopwatch, None)
            timed[position].append(stopwatch.phases)
    return [
        summed_up(
            ", ".join(f"{name} {value:.3g}" for name, value in ticket.params.items()),
            calibrations,
            times,
        )
        for ticket, times in zip(tickets, timed, strict=True)
    ]


def summed_up(
    what: str, calibrations: Sequence[UnitTimes], times: Sequence[Mapping[str, Phase]]
) -> Run:
    """A configuration as each calibration counts it, and as the stopwatch measured it each time."""
    work = {name: phase.work for name, phase in times[0].items()}
    return Run(
        what,
        work,
        [
            {name: units[name].price(amount) for name, amount in work.items()}
            for units in calibrations
        ],
        [{name: phase.seconds for name, phase in phases.items()} for phases in times],
    )


def totals(times: Sequence[Mapping[str, float]]) -> list[float]:
    """The seconds of all phases together, for each time."""
    return [sum(phases.values()) for phases in times]


def fastest(phase: str, times: Sequence[Mapping[str, float]]) -> float:
    """The seconds of a phase when it took least."""
    return min(phases[phase] for phases in times)


def rows(name: str, runs: Sequence[Run]) -> Iterator[Row]:
    """
    Args:
        name: of the study.
        runs: at least one.
    """
    counted = [totals(run.counted) for run in runs]
    measured = [totals(run.measured) for run in runs]
    alone = [min(each) for each in measured]
    whole = [percent(min(each), least) for each, least in zip(counted, alone, strict=True)]
    yield _row(f"{name}: |error|", whole)
    yield _row(f"{name}: |error| against each other", list(_against_each_other(counted, alone)))
    for source, singles in (("the stopwatch", measured), ("a calibration", counted)):
        noise = [percent(time, min(each)) for each in singles for time in each]
        yield _row(f"{name}: |noise| of {source}", noise)
    for phase in runs[0].work:
        took = [fastest(phase, run.measured) for run in runs]
        errors = [
            percent(fastest(phase, run.counted), least)
            for run, least in zip(runs, took, strict=True)
        ]
        share = f"; {100 * sum(took) / sum(alone):.1f} % of the time"
        yield _row(f"{name}: |error| of {phase}", errors, share)
    furthest = sorted(range(len(runs)), key=lambda n: -abs(whole[n]))[:FURTHEST]
    for place, number in enumerate(furthest, 1):
        what = f"{name}: furthest off, {place}"
        notes = f"{runs[number].what}: {accounted(runs[number])}"
        yield Row.of(what, [whole[number]], "%", notes=notes)


def _row(what: str, errors: Sequence[float], more: str = "") -> Row:
    """With the absolute errors, and beside them how bad it gets and in which direction."""
    tail = np.quantile(np.abs(errors), 0.95)
    notes = f"95th percentile {tail:.1f} %, bias {np.median(errors):+.1f} %{more}"
    return Row.of(what, np.abs(errors).tolist(), "%", notes=notes)


def _against_each_other(
    counted: Sequence[Sequence[float]], alone: Sequence[float]
) -> Iterator[float]:
    """The errors of each single calibration, but for what shifts all its prices alike."""
    for prices in zip(*counted, strict=True):
        ratios = [price / least for price, least in zip(prices, alone, strict=True)]
        usual = statistics.median(ratios)
        yield from (percent(ratio, usual) for ratio in ratios)


def percent(calibrated: float, stopwatch: float) -> float:
    """The relative error."""
    return 100 * (calibrated / stopwatch - 1)


def accounted(run: Run) -> str:
    """Of each phase the work, and the milliseconds that were counted and measured for it."""
    parts = []
    for name, work in run.work.items():
        counted, measured = (1000 * fastest(name, times) for times in (run.counted, run.measured))
        amount = f"{work.steps} steps, {work.samples} samples, {work.eager} eager"
        amount += f", {work.recordings} recorded"
        parts.append(f"{name} {counted:.3g} for {measured:.3g} ms ({amount})")
    return "; ".join(parts)


if __name__ == "__main__":
    main("calibration", __doc__, measure)
