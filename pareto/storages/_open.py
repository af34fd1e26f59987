"""From a URL to a storage."""

import logging
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pareto.storages._backend import Backend
from pareto.storages._guard import Announce, guard, said_by_library
from pareto.storages._journal import JournalBackend
from pareto.storages._server import DRIVERS, ServerBackend
from pareto.storages._sqlite import SqliteBackend
from pareto.urls import shown
from unlearn.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

DEFAULT_URL = "sqlite:///pareto-search.db"
REMEDY = (
    "use sqlite:///FILE, journal:///FILE (//// before an absolute one),"
    " postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE"
)
_FILES: dict[str, type[SqliteBackend] | type[JournalBackend]] = {
    "sqlite:///": SqliteBackend,
    "journal:///": JournalBackend,
}


def exists(url: str) -> bool:
    """Whether the storage exists already; nothing is created or changed.

    Raises:
        InputError: the URL is wrong, the place cannot be reached, or what is there holds no studies
            of this version.
    """
    backend = _backend(url)
    try:
        return backend.exists()
    except _library_errors() as error:
        raise _unusable(backend, error) from None


def connect(
    url: str, *, writable: bool, announce: Announce = lambda _message: None
) -> "BaseStorage":
    """Open a storage; a writable one is created if need be. Other processes may share it.

    Args:
        announce: told when the storage does not answer, and when it does so again.

    Raises:
        InputError: the storage does not exist and shall only be read, or cannot be opened.
        StorageError: raised by the storage's methods where it does not work any more.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # Of connections that are given back in the middle of an interrupt, or to a server that is gone.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    backend = _backend(url)
    try:
        if not backend.exists():
            if not writable:
                raise InputError(
                    f"there is no storage {backend.shown}",
                    "run a search first, or name its storage with --storage",
                )
            backend.create()
        storage = backend.open(writable=writable)
    except _library_errors() as error:
        raise _unusable(backend, error) from None
    guard(storage, backend, announce)
    return storage


def clock_difference(url: str) -> float:
    """How many seconds the clock of a storage's place is ahead of this machine's.

    Raises:
        InputError: the place cannot be reached or written.
    """
    backend = _backend(url)
    try:
        before = time.time()
        theirs = backend.clock()
        return theirs - (before + time.time()) / 2
    except _library_errors() as error:
        raise _unusable(backend, error) from None


def _backend(url: str) -> Backend:
    for prefix, backend in _FILES.items():
        if url.startswith(prefix):
            return backend(_usable_file(url, url.removeprefix(prefix)))
    if re.match(rf"({'|'.join(DRIVERS)})(\+\w+)?://", url):
        import sqlalchemy

        try:
            parsed = sqlalchemy.make_url(url)
        except (sqlalchemy.exc.ArgumentError, ValueError):
            raise _no_url(url) from None
        if parsed.database:
            return ServerBackend(parsed, shown(url))
    raise _no_url(url)


def _usable_file(url: str, name: str) -> Path:
    """The file that a URL names, if one can be there."""
    if not name or name == ":memory:" or "?" in name:
        raise _no_url(url)
    file = Path(name)
    try:
        is_folder, has_folder = file.is_dir(), file.parent.is_dir()
        file.exists()  # which no name that is too long gets over
    except OSError as error:
        raise InputError(
            f"the storage {file} cannot be opened: {error.strerror}",
            "check its folder and its name",
        ) from None
    if is_folder:
        raise InputError(f"the storage {file} is a folder", REMEDY)
    if not has_folder:
        raise InputError(f"the storage's folder {file.parent} does not exist", "create it first")
    return file


def _no_url(url: str) -> InputError:
    return InputError(f"{shown(url)!r} is no URL of a storage", REMEDY)


def _library_errors() -> tuple[type[Exception], ...]:
    # From where they are: whoever was interrupted while importing a package has but parts of it.
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    return OSError, SQLAlchemyError, OptunaError


def _unusable(backend: Backend, error: Exception) -> InputError:
    reason = said_by_library(error.__cause__ or error)
    return InputError(
        f"the storage {backend.shown} cannot be opened: {reason}",
        "check that it can be reached, read and written",
    )
