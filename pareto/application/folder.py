"""The folder that a request's weights and evidence are left in, and those beside it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pareto.preparation.earlier import EVIDENCE, WEIGHTS, mark_of
from unlearn.errors import InputError, first_line

LOCK = ".lock"


@contextmanager
def claimed(folder: Path, index_file_sha256: str) -> Iterator[None]:
    """Make a folder, unless it is there, and have it for one request while the block runs.

    Raises:
        InputError: it cannot be made, another request is being carried out into it, or it holds
            what must not be overwritten (`check_folder`).
    """
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make {folder}: {error.strerror}", "name another folder with --out"
        ) from None
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"another request is being carried out into {folder}",
            "wait until it is done, or name another folder with --out",
        ) from None
    except (OSError, NotImplementedError) as error:  # not every file system has such locks
        raise InputError(
            f"cannot lock {folder / LOCK}: {first_line(error)}",
            "name a folder in another file system with --out",
        ) from None
    try:
        check_folder(folder, index_file_sha256)
        yield
    finally:
        with suppress(OSError):  # where no file can be removed that is open
            (folder / LOCK).unlink()
        lock.release()


def check_folder(folder: Path, index_file_sha256: str) -> None:
    """Make sure that nothing is overwritten but what the same request, interrupted, has left.

    Raises:
        InputError: the folder holds evidence, or other weights, or cannot be looked into.
    """
    remedy = "name another folder with --out"
    try:
        unfinished = mark_of(folder / WEIGHTS) == index_file_sha256
        for name, ours in ((EVIDENCE, False), (WEIGHTS, unfinished)):
            if (folder / name).exists() and not ours:
                raise InputError(f"{folder} holds {name} already", remedy)
    except OSError as error:
        raise InputError(f"cannot look into {folder}: {error.strerror}", remedy) from None


def other_requests(folder: Path, original_sha256: str) -> list[Path]:
    """The folders beside this one that hold what other requests have made of the same weights.

    Args:
        original_sha256: of the tensors of these weights, as evidence has it.
    """
    found = []
    for file in sorted(folder.absolute().parent.glob(f"*/{EVIDENCE}")):
        try:
            told = json.loads(file.read_bytes())["weights"]["before"]["tensors_sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # whatever it is, it is no evidence of ours
        if told == original_sha256 and file.parent != folder.absolute():
            found.append(file.parent)
    return found
