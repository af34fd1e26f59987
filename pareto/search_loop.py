"""The search: brings a study to its budget of complete trials, whatever happens on the way."""

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import FrameType

import torch

import studies
from objectives.runtime import UnitTime
from pareto import storage as storages
from pareto.calibration import remembered_unit_times
from pareto.devices import assign_workers, choose_devices, use_one_thread
from pareto.engines import Engine, PoolEngine, SerialEngine
from pareto.errors import OnlyFailures
from pareto.leases import BEAT_SECONDS
from pareto.ledger import Ledger, study_names
from pareto.outcome import Failure, Outcome, Ticket
from pareto.preparation import Announce, Material, Prepared, open_workspace, prepare
from pareto.samplers import StudySampler
from pareto.space import distributions
from pareto.study import Study, open_study
from pareto.trial import TrialRunner
from pareto.workspace import DEFAULT_FOLDER, check_folder
from studies import Definition
from studies.defaults import MAX_FAILURES

LOOK_AROUND_SECONDS = 1.0


@dataclass(frozen=True)
class Progress:
    """Where a search stands after a trial.

    Attributes:
        complete, failed: trials so far, over the study's life.
        budget: how many complete ones it shall have.
        front: how many are on the front.
        hypervolume: share of the ideal box; see `Study.hypervolume_share`.
    """

    complete: int
    failed: int
    budget: int
    front: int
    hypervolume: float


def find_definition(name: str, url: str) -> Definition:
    """The definition that a name means: of a persisted study, built in, or in a file.

    Raises:
        InputError: there is none, or the storage is unusable.
    """
    if storages.exists(url) and not name.endswith(".toml"):
        storage = storages.connect(url, writable=False)
        if name in study_names(storage):
            stored = Ledger(storage, name).note("definition")
            if stored is not None:
                return studies.validate(stored, f"the study {name!r} in {url}")
    return studies.load(name)


def search(
    definition: Definition | str | Path,
    budget: int,
    *,
    storage: str = storages.DEFAULT_URL,
    workers: int | None = None,
    device: str = "auto",
    max_failures: int = MAX_FAILURES,
    workspace: Path = DEFAULT_FOLDER,
    announce: Announce = lambda _message: None,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Study:
    """Bring a study to `budget` complete trials in total, creating it if there is none.

    A first SIGINT or SIGTERM lets the running trials end and returns; a second one stops at once
    with KeyboardInterrupt. Either way the study can be resumed by calling this again.

    Args:
        definition: a `Definition`, or what `--study` takes.
        workers: trials at a time; by default one per GPU, or per core on a CPU.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        max_failures: failures in a row, without a success, that stop the search.
        workspace: folder for what is computed once per study.

    Raises:
        InputError: something given is wrong; nothing was written.
        OnlyFailures: `max_failures` trials failed one after the other.
        KeyboardInterrupt: stopped, at the user's second request or before the first trial.
    """
    if not isinstance(definition, Definition):
        definition = find_definition(str(definition), storage)
    devices = assign_workers(choose_devices(device), workers, definition.objectives.runtime)
    check_folder(workspace)
    use_one_thread()
    material = Material.load(definition)
    ledger = Ledger.open(
        storages.connect(storage, writable=True),
        definition.model_dump(mode="json"),
        material.identity(),
        distributions(definition.ranges),
        StudySampler(definition.sampler, definition.seed, definition.starting_points()),
    )
    source = _Source(ledger, budget, definition.seed, max_failures, on_progress)
    if source.finished:
        announce(
            f"the study has {ledger.counts().complete} complete trials, {budget} are asked for"
        )
    else:
        announce(material.describe())
        prepared, unit_times = prepare_study(ledger, material, workspace, devices[0], announce)
        make_runners = [partial(_make_runner, prepared, d, unit_times) for d in devices]
        engine: Engine = (
            SerialEngine(make_runners[0]()) if len(devices) == 1 else PoolEngine(make_runners)
        )
        announce(f"running trials on {len(devices)} worker(s)")
        with source.stop.on_signals(), source.leases_renewed():
            engine.run(source)
    if not source.stop.requested:
        source.settle()
    source.raise_if_only_failures()
    return open_study(definition.name, storage)


def prepare_study(
    ledger: Ledger, material: Material, folder: Path, device: torch.device, announce: Announce
) -> tuple[Prepared, dict[str, UnitTime] | None]:
    """Prepare the study. What its storage already holds of it counts, also on another machine."""
    workspace = open_workspace(material, folder, announce)
    with workspace.lock():
        prepared = prepare(material, material.search, workspace, device, announce)
        if ledger.note("reference") is None:
            ledger.set_note("original", prepared.original_figures.as_dict())
            ledger.set_note("reference", prepared.reference.as_dict())
        prepared = prepared.with_reference(ledger.note("reference"))
        if material.definition.objectives.runtime == "measured":
            return prepared, None
        if ledger.note("unit_times") is None:
            runner = TrialRunner(prepared, device)
            depends_on = {"workspace": workspace.folder.name, **runner.calibration_key()}
            measured = remembered_unit_times(depends_on, runner.calibrate, announce)
            ledger.set_note("unit_times", {k: asdict(unit) for k, unit in measured.items()})
        return prepared, {k: UnitTime(**u) for k, u in ledger.note("unit_times").items()}


def _make_runner(
    prepared: Prepared, device: torch.device, unit_times: dict[str, UnitTime] | None
) -> Callable[[Ticket], Outcome | Failure]:
    use_one_thread()
    return TrialRunner(prepared, device, unit_times).run


class _StopRequest:
    """Set by the first signal; the second one raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.requested = False

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """React to SIGINT and SIGTERM within the block; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._handle) for number in signals]
        hook, sys.unraisablehook = sys.unraisablehook, _interrupt_again
        try:
            yield
        finally:
            sys.unraisablehook = hook
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


def _interrupt_again(lost: "sys.UnraisableHookArgs") -> None:
    """Python drops what a signal handler raises in a finaliser; then the signal comes again."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(lost)


class _Source:
    """Gives an engine its tickets and records what comes of them."""

    def __init__(
        self,
        ledger: Ledger,
        budget: int,
        study_seed: int,
        max_failures: int,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.stop = _StopRequest()
        self._ledger = ledger
        self._budget = budget
        self._study_seed = study_seed
        self._max_failures = max_failures
        self._on_progress = on_progress
        self._reasons: list[str] = []
        self._looked_around = -LOOK_AROUND_SECONDS
        self._lease_error: Exception | None = None

    @property
    def finished(self) -> bool:
        return (
            self.stop.requested
            or len(self._reasons) >= self._max_failures
            or self._ledger.counts().complete >= self._budget
        )

    def next(self) -> Ticket | None:
        if self._lease_error is not None:
            raise self._lease_error
        now = time.monotonic()
        if now - self._looked_around >= LOOK_AROUND_SECONDS:
            self._looked_around = now
            self._ledger.take_over_lost()
        return self._ledger.ask(self._budget, self._study_seed)

    def report(self, ticket: Ticket, result: Outcome | Failure) -> None:
        if isinstance(result, Failure):
            self._ledger.fail(ticket, result)
            self._reasons.append(result.reason)
        elif (defect := result.defect()) is not None:
            self._ledger.fail(ticket, Failure(defect))
            self._reasons.append(defect)
        else:
            self._ledger.complete(ticket, result)
            self._reasons.clear()
        self._on_progress(self._progress())

    def settle(self) -> None:
        """See to it that no trial of a dead driver is left running."""
        while self._ledger.take_over_lost()[1]:
            time.sleep(LOOK_AROUND_SECONDS / 4)

    def raise_if_only_failures(self) -> None:
        if len(self._reasons) >= self._max_failures:
            reason, times = Counter(self._reasons).most_common(1)[0]
            raise OnlyFailures(
                f"the last {len(self._reasons)} trials failed, {times} of them with: {reason}",
                "see `pareto-search show --format json` for the reason of each",
            )

    @contextmanager
    def leases_renewed(self) -> Iterator[None]:
        """Renew the leases in the background while the block runs."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(BEAT_SECONDS):
                try:
                    self._ledger.renew_leases()
                except Exception as error:  # raised in the driver's thread, by `next`
                    self._lease_error = error
                    return

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _progress(self) -> Progress:
        study = Study(self._ledger, "")
        counts = self._ledger.counts()
        return Progress(
            counts.complete,
            counts.failed,
            self._budget,
            len(study.front()),
            study.hypervolume_share(),
        )
