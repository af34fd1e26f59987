"""Which engine runs the trials, and on what."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path

import torch

from pareto.defaults import ENGINE, ENGINE_NAMES, EngineName
from pareto.engines import local
from pareto.engines._contract import Engine
from pareto.engines.devices import assign_workers, choose_devices
from unlearn.errors import InputError

ADDRESS = re.compile(r"auto|[^\s/]+:\d+")
SMALLEST_SHARE = 0.0001
"""Of a CPU or GPU that Ray can reserve."""


@dataclass(frozen=True)
class EngineSettings:
    """What a user says of the engine; None leaves it to the engine.

    Attributes:
        name: `local`: on this machine; `ray`: on a Ray cluster, or a Ray started for the purpose.
        workers: trials at a time.
        device: `auto`, `cpu`, and for the local engine also `cuda` or `cuda:N`.
        ray_address: of a running cluster.
        cpus_per_trial, gpus_per_trial: what Ray reserves for a trial; fractions are allowed.

    Raises:
        InputError: the settings contradict each other.
    """

    name: EngineName = ENGINE
    workers: int | None = None
    device: str = "auto"
    ray_address: str | None = None
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None

    def __post_init__(self) -> None:
        if self.name not in ENGINE_NAMES:
            raise InputError(f"there is no engine {self.name!r}", "use local or ray")
        of_ray = (self.ray_address, self.cpus_per_trial, self.gpus_per_trial)
        if self.workers is not None and not (
            isinstance(self.workers, Integral) and self.workers >= 1
        ):
            raise InputError(
                f"{self.workers!r} workers do nothing", "use a whole number, 1 or more"
            )
        if self.name == "local" and of_ray != (None, None, None):
            raise InputError(
                "--ray-address, --cpus-per-trial and --gpus-per-trial are for Ray alone",
                "add --engine ray, or use --workers and --device",
            )
        if self.ray_address is not None and self.ray_address.startswith("ray://"):
            raise InputError(
                f"{self.ray_address} is the address of a Ray client: Tune would run elsewhere",
                "run this on a machine of the cluster, with --ray-address auto or HOST:PORT",
            )
        if self.ray_address is not None and not ADDRESS.fullmatch(self.ray_address):
            raise InputError(
                f"{self.ray_address!r} is no address of a Ray cluster",
                "use --ray-address auto or HOST:PORT, as `ray start` says it",
            )
        if self.name == "ray" and self.device not in ("auto", "cpu"):
            raise InputError(
                f"Ray chooses the devices itself, and not {self.device!r}",
                "use --gpus-per-trial, or --device cpu",
            )
        for share in (self.cpus_per_trial, self.gpus_per_trial):
            if share is not None and not _can_be_reserved(share):
                raise InputError(
                    f"Ray cannot reserve {share!r} CPUs or GPUs for a trial",
                    f"use numbers from {SMALLEST_SHARE} on, like 0.5 or 2",
                )
        if self.cpus_per_trial == 0:
            raise InputError("a trial cannot do without any CPU", "use a share of one, like 0.1")
        gpus = self.gpus_per_trial or 0.0
        if gpus and self.device == "cpu":
            raise InputError("--device cpu and --gpus-per-trial exclude each other", "use one")
        if gpus > 1 and gpus != int(gpus):
            raise InputError(
                f"{gpus:g} GPUs per trial is neither a whole number nor a share of one",
                "use for example 0.25, 1 or 2",
            )

    def check(self, runtime: str) -> None:
        """Make sure of what can be told without starting anything.

        Args:
            runtime: `calibrated` or `measured`; where the stopwatch counts, no device is shared.

        Raises:
            InputError: there is no such device, or it would be shared and must not be.
        """
        if self.name == "local" and len(self._devices(runtime)) > 1:
            local.check_temporary_folder()
        if self.name == "ray":
            _refuse_homeless()

    def start_early(self, runtime: str) -> None:
        """Begin with what takes its time to start, while there are other things to do first."""
        if self.name == "local" and len(self._devices(runtime)) > 1:
            local.start_forking()

    def _devices(self, runtime: str) -> list[torch.device]:
        return assign_workers(choose_devices(self.device), self.workers, runtime)

    @contextmanager
    def opened(self, runtime: str) -> Iterator[Engine]:
        """The engine, for the time of the block.

        Raises:
            InputError: there is no such device, or it would be shared and must not be.
            EngineError: Ray does not work, or has no room for a trial.
        """
        if self.name == "local":
            with local.opened(self._devices(runtime)) as here:
                yield here
            return
        try:
            from pareto.engines import ray_tune
        except ImportError as error:
            raise InputError(
                f"Ray cannot be imported: {error}", "install it with `pip install 'ray[tune]'`"
            ) from None
        gpus = 0.0 if self.device == "cpu" else self.gpus_per_trial
        cpus = 1.0 if self.cpus_per_trial is None else self.cpus_per_trial
        share = runtime != "measured"
        with ray_tune.connected(self.ray_address, self.workers, cpus, gpus, share=share) as engine:
            if not share and engine.workers > 1 and not engine.has_whole_devices:
                raise InputError(
                    f"{engine.workers} workers would share devices and spoil measured runtime",
                    "use --workers 1 or whole GPUs, or, for a search, calibrated runtime",
                )
            yield engine


def _can_be_reserved(share: object) -> bool:
    if not isinstance(share, Real):
        return False
    return math.isfinite(share) and (share == 0 or float(share) >= SMALLEST_SHARE)


def _refuse_homeless() -> None:
    """Ray wants to know a home, though nothing is kept there."""
    try:
        Path.home()
    except RuntimeError:
        raise InputError("Ray needs a home folder, and this user has none", "set HOME") from None
