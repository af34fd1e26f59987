"""What this machine offers, and what is wrong with it."""

import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import joblib

from pareto import storages
from pareto.urls import shown
from pareto.workspace.places import Place
from unlearn.errors import UserFacingError, first_line

PACKAGES = ("pareto-search", "torch", "torchvision", "optuna", "ray", "numpy")
TOLERATED_SECONDS = 5.0
GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """What came of looking at one thing.

    Attributes:
        about: the thing.
        said: what was found, in one line.
        remedy: what to do about it; None if it is as it should be.
    """

    about: str
    said: str
    remedy: str | None = None


def examine(storage: str, workspace: str, ray_address: str | None) -> Iterator[Finding]:
    """Look at everything that a search needs, one after the other; nothing is changed.

    Args:
        ray_address: of a cluster to join; None tries to start a Ray here.
    """
    checks: dict[str, Callable[[], str]] = {
        "versions": _versions,
        "torchvision": _torchvision,
        "devices": _devices,
        "storage": lambda: _storage(storage),
        "clock": lambda: _clock(storage),
        "workspace": lambda: _workspace(workspace),
        "ray": lambda: _ray(ray_address),
    }
    wrong: set[str] = set()
    for about, check in checks.items():
        if about == "clock" and "storage" in wrong:
            continue  # the same would be said of it
        try:
            yield Finding(about, check())
        except UserFacingError as error:
            wrong.add(about)
            yield Finding(about, error.problem, error.remedy)


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            raise UserFacingError(
                f"{package} is not installed", f"install it with `pip install {package}`"
            ) from None
    return ", ".join(found)


def _torchvision() -> str:
    try:
        import torchvision
    except (ImportError, RuntimeError) as error:  # its operators are missing if torch is another
        raise UserFacingError(
            f"torchvision cannot be imported: {first_line(error)}",
            "install a matching pair: `pip install --force-reinstall torch torchvision`",
        ) from None
    return f"{torchvision.__version__} works with this torch"


def _devices() -> str:
    import torch

    cores = f"{joblib.cpu_count()} CPU cores"
    if torch.cuda.is_available():
        return ", ".join([*map(_gpu, range(torch.cuda.device_count())), cores])
    if shutil.which("nvidia-smi"):
        built_for = torch.version.cuda
        raise UserFacingError(
            f"there is an NVIDIA driver, but torch {torch.__version__} sees no GPU",
            f"check with `nvidia-smi` that the driver supports CUDA {built_for}"
            if built_for
            else "install a torch that is built for CUDA",
        )
    return f"no GPU, {cores}"


def _gpu(index: int) -> str:
    import torch

    free, total = torch.cuda.mem_get_info(index)
    name = torch.cuda.get_device_name(index)
    return f"cuda:{index} {name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free"


def _storage(url: str) -> str:
    from pareto.ledger import study_kinds

    if not storages.exists(url):
        storages.clock_difference(url)  # writes where it would be
        return f"{shown(url)} can be reached; no study is in it yet"
    opened = storages.connect(url, writable=True)
    return f"{shown(url)} can be read and written; {len(study_kinds(opened))} studies"


def _clock(url: str) -> str:
    ahead = storages.clock_difference(url)
    said = f"the storage's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} ours"
    if abs(ahead) > TOLERATED_SECONDS:
        return f"{said}; searches do not mind, but the times that they note will not fit together"
    return said


def _workspace(url: str) -> str:
    place = Place(url)
    place.check()
    folder = place.local_path("")
    if folder is None:
        return f"{place} can be written"
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return f"{place} can be written; {shutil.disk_usage(there).free / GIB:.1f} GiB free"


def _ray(address: str | None) -> str:
    from pareto.engines.settings import EngineSettings

    with EngineSettings(name="ray", ray_address=address).opened("calibrated") as engine:
        import ray

        where = "a Ray started here" if address is None else f"the Ray cluster at {address}"
        total = ray.cluster_resources()  # type: ignore[no-untyped-call]
        machines = sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
        return (
            f"{where} has {machines} machine(s), {total.get('CPU', 0):g} CPUs and"
            f" {total.get('GPU', 0):g} GPUs; room for {engine.workers} trials at a time"
        )
