"""What all tests share: where their folders lie, a cache, and the processes that they run in."""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

# Storages wait for the disk whenever they write: their folders lie in memory, if it has room.
MEMORY, ROOM = Path("/dev/shm"), 2 * 2**30
has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
if has_room and "TMPDIR" not in os.environ:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

hypothesis.settings.register_profile("a busy machine is no failure", deadline=None)
hypothesis.settings.load_profile("a busy machine is no failure")

gc.disable()  # while everything is imported, which stays


def pytest_collection_finish() -> None:
    """Look for garbage again, but not through what was imported."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors are computed faster by one thread, and always in the same order."""
    import torch  # here: the process that hands out the tests can do without

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep calibrations of tests, and of the programs they start, out of the user's cache."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


def starts_ray(nodeid: str) -> bool:
    return "/test_ray_" in nodeid or "_on_ray_" in nodeid or nodeid.endswith("[ray]")


class OneProcessForRay(LoadScopeScheduling):  # type: ignore[misc]  # untyped
    """A file's tests run in one process, but all that start a Ray in one process of their own: a
    machine on which several start at a time is busy with nothing else."""

    def _split_scope(self, nodeid: str) -> str:
        return "ray" if starts_ray(nodeid) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneProcessForRay:
    return OneProcessForRay(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ray's first: they take longest, and mostly wait."""
    items.sort(key=lambda item: not starts_ray(item.nodeid))
