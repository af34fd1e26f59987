"""Which devices trials run on, how many workers there are, and what is noted of where they ran."""

import ctypes
import platform
import sys
from importlib.metadata import version
from typing import Any

import joblib
import torch

from unlearn.errors import InputError


def choose_devices(name: str) -> list[torch.device]:
    """The devices that a name means: `auto` is every GPU there is, else the CPU.

    Raises:
        InputError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return [torch.device("cpu")]
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    remedy = "use auto, cpu, cuda or cuda:N; torch sees " + (
        f"{count} GPU{'s' if count > 1 else ''}" if count else "no GPU here"
    )
    if name == "cuda" and count:
        return [torch.device("cuda", index) for index in range(count)]
    kind, _, index = name.partition(":")
    if kind == "cuda" and index.isdecimal() and int(index) < count:
        return [torch.device("cuda", int(index))]
    raise InputError(f"there is no device {name!r}", remedy)


def assign_workers(
    devices: list[torch.device], workers: int | None, runtime: str
) -> list[torch.device]:
    """One device per worker; by default one worker per GPU, or per core on a CPU.

    Raises:
        InputError: the stopwatch counts, and a device would be shared.
    """
    if workers is None:
        on_cpu = devices[0].type == "cpu" and runtime == "calibrated"
        workers = joblib.cpu_count() if on_cpu else len(devices)
    if runtime == "measured" and workers > len(devices):
        raise InputError(
            f"{workers} workers would share {len(devices)} device(s) and spoil measured runtime",
            f"use --workers {len(devices)}, or, for a search, calibrated runtime",
        )
    return [devices[worker % len(devices)] for worker in range(workers)]


def device_model(device: torch.device) -> str:
    """What kind of device it is."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def environment(device: torch.device) -> dict[str, Any]:
    """Where something was computed."""
    packages = ("pareto-search", "torch", "numpy")
    return {
        "host": platform.node(),
        "device": f"{device} ({device_model(device)})",
        "versions": {package: version(package) for package in packages},
    }


def use_one_thread() -> None:
    """One thread per process: small networks are slower with several, and workers share cores."""
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Have glibc keep for this process what is freed, up to 32 MiB a piece, which is its limit.

    By itself it returns much of what a training step frees, and the system then clears it, page by
    page, for the next step to take: up to a third of a step's time on a CPU.
    """
    trim_threshold, mmap_threshold = -1, -3  # as in malloc.h
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        ctypes.CDLL(None).mallopt(trim_threshold, 2**31 - 1)
        ctypes.CDLL(None).mallopt(mmap_threshold, 2**25)
