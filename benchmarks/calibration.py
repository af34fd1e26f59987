"""Calibrated runtime against the stopwatch, on configurations that have the machine to themselves.

    python -m benchmarks.calibration --images cifar10

A study is prepared and calibrated anew, as a search does it. Then configurations from all over the
search space run one after the other, with nothing precomputed, so that all they are charged for is
really done. Errors are those of the calibrated seconds, in percent of the stopwatch's.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from optuna.storages import InMemoryStorage

import studies
from benchmarks._command import Settings, main
from benchmarks._report import Row
from benchmarks.trial import Case, draw_tickets, of_images
from objectives.runtime import UnitTimes, calibrated_seconds
from pareto import groundwork
from pareto.devices import choose_devices, use_one_thread
from pareto.engines import SerialEngine
from pareto.groundwork import Groundwork
from pareto.ledger import Ledger
from pareto.material import Material
from pareto.space import distributions
from studies import Definition
from unlearn.stopwatch import Phase, Stopwatch

FURTHEST = 3
"""How many of the worst configurations are shown."""


@dataclass(frozen=True)
class Run:
    """One configuration that was run alone.

    Attributes:
        what: its parameters.
        phases: its work, and what the stopwatch said.
    """

    what: str
    phases: Mapping[str, Phase]

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
        return prepare(definition, device, folder)


def prepare(definition: Definition, device: torch.device, workspace: str) -> Groundwork:
    """What a search does before its first trial; what the workspace and this machine remember is
    not done again."""
    material, space = Material.load(definition), distributions(definition.ranges)
    ledger = Ledger.open(
        InMemoryStorage(), definition.model_dump(mode="json"), material.identity(), space, None
    )
    announce = partial(print, file=sys.stderr)
    return groundwork.lay(ledger, SerialEngine(device), material, workspace, announce)


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
    runs = []
    for ticket in draw_tickets(case):
        config, stopwatch = definition.config(ticket.params), Stopwatch(device)
        definition.unlearning.unlearn(problem, config, ticket.seed, stopwatch, None)
        what = ", ".join(f"{name} {value:.3g}" for name, value in ticket.params.items())
        runs.append(Run(what, stopwatch.phases))
    return runs


def rows(name: str, units: UnitTimes, runs: Sequence[Run]) -> Iterator[Row]:
    """
    Args:
        name: of the study.
        runs: at least one.
    """
    whole = [percent(calibrated_seconds(run.phases, units), run.seconds) for run in runs]
    yield Row.of(f"{name}: |error|", np.abs(whole).tolist(), "%", notes=spread(whole))
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
