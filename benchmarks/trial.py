"""A trial of ours against the textbook's: the same configurations, by turns.

    python -m benchmarks.trial --images cifar10

The textbook (`benchmarks.textbook`) runs in this process, with as many threads as torch takes by
itself. As these can be too many for small networks or a busy machine, it runs on a CPU with one as
well; on a GPU, which may wait for its images, also with processes that load them. Ours runs in
workers like those of a search. Ratios are to the textbook with torch's own number of threads.
"""

import multiprocessing
import pickle
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

import joblib
import torch

import studies
from benchmarks import textbook
from benchmarks._command import Settings, main
from benchmarks._report import Row
from benchmarks._studies import Case, draw_tickets, of_images, prepare
from pareto.engines.devices import choose_devices
from pareto.preparation.prepared import Prepared
from pareto.trials.outcome import Failure, Outcome, Ticket
from pareto.trials.runner import make_runner
from unlearn.datasets import Samples

T = TypeVar("T")

LOADERS = 4
"""Processes that load the textbook's images for a GPU."""

WORKERS_PER_GPU = 2
"""Of ours."""

CHARGED = ("score", "train")
"""Phases that are charged to a trial of ours, but were carried out once for all of them."""

BLOCK = 5
"""Configurations that several workers share among them, so that they end at about one time."""


def measure(settings: Settings) -> Iterator[Row]:
    """On the digits and, given images, with a small and a large network on these; on a GPU with
    the large one alone."""
    for case in cases(settings):
        yield from compare(case, settings)


def cases(settings: Settings) -> Iterator[Case]:
    """What the settings allow."""
    on_cpu = settings.device == "cpu"
    if on_cpu:
        yield Case(studies.load("digits"), BLOCK if settings.quick else 4 * BLOCK)
    if settings.images is not None:
        if on_cpu:
            sizes = (1000, 400) if settings.quick else (5000, 2000)
            yield Case(of_images(settings, "small-cnn", *sizes), 2 if settings.quick else BLOCK)
        large, trials = ((250, 100), 2) if on_cpu else ((5000, 1000), BLOCK)
        sizes = (100, 100) if settings.quick else large
        yield Case(of_images(settings, "resnet18", *sizes), 1 if settings.quick else trials)


@dataclass(frozen=True)
class Way:
    """How the textbook runs.

    Attributes:
        threads: of torch, on the CPU.
        loaders: processes that prepare its batches; 0 is its own.
    """

    threads: int
    loaders: int = 0

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"textbook, {threads}" + (f", {self.loaders} loaders" if self.loaders else "")


def ways(device: torch.device) -> list[Way]:
    """The first is what ours is compared with."""
    threads = torch.get_num_threads()
    return [Way(threads), Way(1) if device.type == "cpu" else Way(threads, LOADERS)]


@dataclass
class Times:
    """Seconds per trial, one for each run, in the order of the configurations.

    Attributes:
        textbook: for each way.
        ours: of one worker, while the others do nothing.
        shared: of all workers together, one for each block.
    """

    textbook: dict[Way, list[float]]
    ours: list[float]
    shared: list[float]


def compare(case: Case, settings: Settings) -> Iterator[Row]:
    """Run the configurations of a case by turns."""
    deterministic = torch.backends.cudnn.deterministic
    device = choose_devices(settings.device)[0]
    times = Times({way: [] for way in ways(device)}, [], [])
    with threads_set_to(1):
        prepared = prepare(case.definition, device, settings.workspace).prepared
    torch.backends.cudnn.deterministic = deterministic  # the textbook does not ask for it
    request, tickets = as_textbook(prepared, device), draw_tickets(case)
    outcomes: list[Outcome] = []
    workers = int(joblib.cpu_count()) if device.type == "cpu" else WORKERS_PER_GPU
    if device.type == "cuda":  # whose first trial takes long; ours have had theirs
        textbook.run_trial(request, tickets[0].params, tickets[0].seed)
    with Workers(workers, prepared, device, tickets[0]) as ours:
        for block in blocks(tickets):
            for ticket in block:
                for way, seconds in times.textbook.items():
                    loaded = replace(request, loaders=way.loaders)
                    with threads_set_to(way.threads), timed(seconds):
                        textbook.run_trial(loaded, ticket.params, ticket.seed)
                with timed(times.ours):
                    outcomes += ours.run([ticket])
            if workers > 1:
                with timed(times.shared, trials=workers * len(block)):
                    ours.run([*block] * workers)
    yield from rows(case.definition.name, workers, times)
    took = [spent(outcome.run, outcome.metrics) for outcome in outcomes]
    for phase in took[0]:
        milliseconds = [1000 * seconds[phase] for seconds in took]
        yield Row.of(f"{case.definition.name}: ours, {phase}", milliseconds, "ms")


def rows(name: str, workers: int, times: Times) -> Iterator[Row]:
    """
    Args:
        name: of the study.
        workers: that `shared` ran on.
    """
    (way, theirs), *others = times.textbook.items()
    base = f"{name}: {way}"
    yield Row.of(base, theirs, "s")
    for other, seconds in others:
        yield Row.of(f"{name}: {other}", seconds, "s", baseline=(base, theirs))
    yield Row.of(f"{name}: ours, 1 worker", times.ours, "s", baseline=(base, theirs))
    if workers > 1:
        yield Row.of(
            f"{name}: ours, {workers} workers",
            times.shared,
            "s",
            baseline=(base, [statistics.fmean(block) for block in blocks(theirs)]),
            notes=f"per trial, in blocks of {BLOCK} configurations",
        )


def spent(run: Mapping[str, Any], metrics: Mapping[str, float]) -> dict[str, float]:
    """Where a trial of ours spent its seconds, by phase.

    Args:
        run, metrics: of its outcome.
    """
    phases = {
        name: float(phase["seconds"])
        for name, phase in run["phases"].items()
        if name not in CHARGED
    }
    return {**phases, "evaluation": metrics["wall_seconds"] - sum(phases.values())}


def blocks(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """`BLOCK` at a time."""
    for first in range(0, len(things), BLOCK):
        yield things[first : first + BLOCK]


@contextmanager
def timed(seconds: list[float], trials: int = 1) -> Iterator[None]:
    """Note how long the block took per trial."""
    began = time.perf_counter()
    yield
    seconds.append((time.perf_counter() - began) / trials)


def as_textbook(prepared: Prepared, device: torch.device) -> textbook.Request:
    """The same θ_o, request and data for the textbook."""
    material = prepared.material
    factory, recipe = material.factory, material.definition.training_recipe
    model = factory(0, torch.device("cpu"))
    model.load_state_dict(prepared.original)
    original = factory.network(model).state_dict()

    def images(samples: Samples) -> textbook.Images:
        return textbook.Images(samples.images, samples.labels, factory.mean, factory.std)

    return textbook.Request(
        partial(textbook.NETWORKS[material.definition.model], len(factory.mean), factory.classes),
        original,
        images(material.dataset.train.take(material.partition.forget)),
        images(material.dataset.train.take(material.partition.retain)),
        images(prepared.test),
        recipe.epochs,
        recipe.learning_rate,
        recipe.momentum,
        recipe.weight_decay,
        recipe.batch_size,
        device,
    )


class Workers:
    """Processes that run trials as those of a search do, and are ready before the first one."""

    def __init__(self, count: int, prepared: Prepared, device: torch.device, first: Ticket) -> None:
        """
        Args:
            first: what each of them runs beforehand, as it takes longer than all others.
        """
        context = multiprocessing.get_context("spawn")
        payload = pickle.dumps(partial(make_runner, prepared, None))
        self._pool = context.Pool(count, _begin, (payload, device, first, context.Barrier(count)))

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.terminate()

    def run(self, tickets: Sequence[Ticket]) -> list[Outcome]:
        """Returns when all of them are done."""
        outcomes: list[Outcome] = []
        for result in self._pool.map(_run, tickets, chunksize=1):
            if isinstance(result, Failure):
                raise RuntimeError(f"a trial failed: {result.reason}\n{result.traceback}")
            outcomes.append(result)
        return outcomes


_runner: Callable[[Ticket], Outcome | Failure]
"""Of this process, if it is one of the `Workers`."""


def _begin(payload: bytes, device: torch.device, first: Ticket, all_ready: Barrier) -> None:
    global _runner
    _runner = pickle.loads(payload)(device)  # from our own driver
    _runner(first)
    all_ready.wait()


def _run(ticket: Ticket) -> Outcome | Failure:
    return _runner(ticket)


@contextmanager
def threads_set_to(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


if __name__ == "__main__":
    main("trial", __doc__, measure)
