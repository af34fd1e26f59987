"""Trials on a Ray cluster, or on a Ray that is started on this machine for the purpose."""

import gc
import logging
import math
import pickle
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch

from pareto.engines import _ray_cluster  # before Ray: it says how Ray shall behave
from pareto.engines._contract import (
    INTERRUPTED,
    Announce,
    MakeRunner,
    RunTrial,
    T,
    TrialSource,
    Work,
)
from pareto.engines._ray_call import carry_out
from pareto.errors import EngineError
from pareto.trials.outcome import Failure, Ticket

# isort: split
import ray
from ray import tune
from ray.tune.search import Searcher
from ray.util import placement_group, remove_placement_group
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

MAX_CALLS = 3
"""How often a call is begun whose worker dies."""

PATIENCE_SECONDS = 5
"""How long a call waits for room for several workers, before it does with one."""

DEATHS = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.OutOfMemoryError,
)
SAME_VERSION = "install the same version of pareto-search on every machine of the cluster"
MEMORY = (
    "see whether a machine is out of memory; with more --cpus-per-trial, fewer workers share it"
)


@contextmanager
def connected(
    address: str | None,
    workers: int | None,
    cpus: float,
    gpus: float | None,
    *,
    share: bool = True,
) -> Iterator["RayEngine"]:
    """An engine on a Ray cluster, for the time of the block.

    Args:
        address: of a running cluster (`auto`: of this machine's); None starts a Ray here.
        workers: trials at a time; None: as many as there is room for.
        cpus, gpus: what one trial takes; None: one GPU if there is any.
        share: whether trials may share a device; otherwise, None is as many workers as have whole
            GPUs, or one.

    Raises:
        EngineError: there is no such cluster, or no machine in it has room for a trial.
    """
    needed = None if workers is None else workers * cpus
    with _ray_cluster.connected(address, needed) as folder:
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        machines = [node["Resources"] for node in nodes if node["Alive"]]
        if gpus is None:
            gpus = 1.0 if any(machine.get("GPU", 0) >= 1 for machine in machines) else 0.0
        rooms = [_room(machine, cpus, gpus) for machine in machines]
        if not any(rooms):
            raise EngineError(
                f"no machine of the Ray cluster has {cpus:g} CPUs and {gpus:g} GPUs for a trial",
                "ask for less with --cpus-per-trial and --gpus-per-trial",
            )
        room = sum(rooms) if share or gpus >= 1 else 1
        yield RayEngine(workers or room, max(rooms), cpus, gpus, folder)


def _room(machine: Mapping[str, float], cpus: float, gpus: float) -> int:
    """How many trials a machine can run at a time."""
    room = int(machine.get("CPU", 0) / cpus + 1e-9)
    if gpus:
        together, whole = _together(gpus)
        room = min(room, int(machine.get("GPU", 0)) // whole * together)
    return room


def _together(gpus: float) -> tuple[int, int]:
    """How many trials have whole GPUs to themselves, and how many GPUs these are, given what one
    trial takes: whole ones, or a share of one, which cannot be of two."""
    return (int(1 / gpus + 1e-9), 1) if gpus < 1 else (1, int(gpus))


class RayEngine:
    """Trials in Ray actors, which are reused; what they need travels once, through Ray's object
    store. An actor or a machine that dies takes its trial with it, which is reported as lost."""

    def __init__(
        self, workers: int, on_a_machine: int, cpus: float, gpus: float, folder: str
    ) -> None:
        """
        Args:
            on_a_machine: how many workers the largest machine has room for.
            folder: for what Tune wants to write; nothing in it is used.
        """
        self.workers = workers
        self._on_a_machine = min(workers, on_a_machine)
        self._folder = folder
        self._cpus = cpus
        self._gpus = gpus
        self._device = self._devices(1)[0]

    @property
    def has_whole_devices(self) -> bool:
        """Whether no two trials share a GPU; processor cores are always shared."""
        return self._gpus >= 1

    def call(self, work: Work[T], announce: Announce, side_by_side: int = 1) -> T:
        payload = pickle.dumps(work)
        for attempt in range(1, MAX_CALLS + 1):
            try:
                most = min(side_by_side, self._on_a_machine)
                with self._reserved(most, announce) as (workers, room):
                    return cast("T", self._call_once(payload, announce, workers, room))
            except DEATHS as error:
                reason = _reason(str(error))
                if attempt < MAX_CALLS:
                    announce(f"a Ray worker died and its work is begun again: {reason}")
            except ray.exceptions.RayError as error:
                problem = f"the work on Ray failed: {_reason(str(error))}"
                raise EngineError(problem, SAME_VERSION) from error
        raise EngineError(f"a Ray worker died, {MAX_CALLS} times: {reason}", MEMORY)

    @contextmanager
    def _reserved(self, workers: int, announce: Announce) -> Iterator[tuple[int, PlacementGroup]]:
        """Room on one machine for so many workers, if it is free by now, and for one otherwise.

        Whatever runs there is ended with the block.
        """
        group = placement_group([self._needs(workers)])
        if workers > 1 and not group.wait(PATIENCE_SECONDS):
            remove_placement_group(group)
            workers, group = 1, placement_group([self._needs(1)])
        if workers == 1 and not group.wait(PATIENCE_SECONDS):
            free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]
            announce(
                f"waiting for {_listed(self._needs(1))} on one machine of the Ray cluster, which"
                f" has {_listed(free)} free"
            )
        try:
            yield workers, group
        finally:
            remove_placement_group(group)

    def _needs(self, workers: int) -> dict[str, float]:
        """What so many workers take of a machine: whole GPUs, to have them to themselves."""
        needs = {"CPU": workers * self._cpus}
        if self._gpus:
            together, whole = _together(self._gpus)
            needs["GPU"] = float(math.ceil(workers / together) * whole)
        return needs

    def _devices(self, workers: int) -> list[torch.device]:
        """Of each of so many workers, where they have what they need."""
        # Ray shows a process the GPUs that it may use, and no others.
        gpus = int(self._needs(workers).get("GPU", 0))
        if not gpus:
            return [torch.device("cpu")] * workers
        return [torch.device("cuda", worker * gpus // workers) for worker in range(workers)]

    def _call_once(
        self, payload: bytes, announce: Announce, workers: int, room: PlacementGroup
    ) -> object:
        needs = self._needs(workers)
        remote: Any = ray.remote(
            num_cpus=needs["CPU"],
            num_gpus=needs.get("GPU", 0),
            max_retries=0,
            scheduling_strategy=PlacementGroupSchedulingStrategy(room),
        )(carry_out)
        here = ray.get_runtime_context().get_node_id()
        for message in remote.remote(payload, self._devices(workers), here):
            kind, content = ray.get(message)
            if kind == "said":
                announce(content)
            elif kind == "raised":
                raise content
        return content

    def run(self, source: TrialSource, make_runner: MakeRunner) -> None:
        tickets = _Tickets(source)
        trainable = tune.with_resources(
            tune.with_parameters(_Actor, payload=pickle.dumps(make_runner), device=self._device),
            {"CPU": self._cpus, "GPU": self._gpus},
        )
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=_TicketSearcher(tickets),
                num_samples=-1,  # the searcher says when it is over
                max_concurrent_trials=self.workers,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                storage_path=self._folder,
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[_Reports(tickets)],
            ),
        )
        try:
            with _quiet():
                tuner.fit()
        except KeyboardInterrupt as interrupt:
            tickets.report_all(INTERRUPTED)
            # Tune ends its actors, and gives back what they take of the cluster, when it is
            # collected as garbage: the frames that the exception came through would hold it.
            traceback.clear_frames(interrupt.__traceback__)
            gc.collect()
            raise
        tickets.report_all(Failure("Ray ended before the trial did", lost=True))


class _Tickets:
    """The tickets that are out, by Tune's names for their trials."""

    def __init__(self, source: TrialSource | None) -> None:
        self._source = source
        self.out: dict[str, Ticket] = {}

    def __reduce__(self) -> tuple[type["_Tickets"], tuple[None]]:
        # Tune writes what it is given to a file, for a restore that is not used here: a source has
        # no business there, as its storage's URL may hold a password.
        return _Tickets, (None,)

    @property
    def source(self) -> TrialSource:
        assert self._source is not None
        return self._source

    def report(self, trial_id: str, result: Any) -> None:
        ticket = self.out.pop(trial_id, None)
        if ticket is not None:
            self.source.report(ticket, result)

    def report_all(self, failure: Failure) -> None:
        """Hand in every ticket that is still out."""
        for trial_id in list(self.out):
            self.report(trial_id, failure)


class _TicketSearcher(Searcher):
    """Tune's way of asking for trials."""

    def __init__(self, tickets: _Tickets) -> None:
        super().__init__()
        self._tickets = tickets

    def suggest(self, trial_id: str) -> Any:
        if self._tickets.source.finished:
            return Searcher.FINISHED
        ticket = self._tickets.source.next()
        if ticket is None:
            return None
        self._tickets.out[trial_id] = ticket
        return {"ticket": ticket}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Nothing: `_Reports` knows more of what happened."""


class _Reports(tune.Callback):
    """Tune's way of telling how trials ended."""

    def __init__(self, tickets: _Tickets) -> None:
        self._tickets = tickets

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._tickets.report(trial.trial_id, trial.last_result["outcome"])

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        said = Path(trial.error_file).read_text()
        reason = f"its Ray worker died: {_reason(said)}"
        self._tickets.report(trial.trial_id, Failure(reason, lost=True))


class _Actor(tune.Trainable):
    """A worker: one step is one trial."""

    def setup(  # type: ignore[override]  # Tune adds what `with_parameters` was given
        self, config: dict[str, Any], payload: bytes, device: torch.device
    ) -> None:
        # From our own driver, through Ray: never from a file or a stranger.
        self._run_trial: RunTrial = pickle.loads(payload)(device)
        self._ticket = config["ticket"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._ticket = new_config["ticket"]
        return True

    def step(self) -> dict[str, Any]:
        return {"outcome": self._run_trial(self._ticket), "done": True}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Tune from complaining of what is not used here, where somebody else has started Ray."""
    logger = logging.getLogger("ray.tune")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _listed(resources: Mapping[str, float]) -> str:
    return " and ".join(f"{resources.get(kind, 0):g} {kind}s" for kind in ("CPU", "GPU"))


def _reason(said: str) -> str:
    """In one line, what Ray says of a failure over many: its last, without guesses at causes."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].partition(" Some common causes")[0] if lines else "Ray does not say why"
