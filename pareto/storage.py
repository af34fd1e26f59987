"""Where studies are kept: an SQLite file, named by a URL."""

import re
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import Connection, Engine

DEFAULT_URL = "sqlite:///pareto-search.db"
BUSY_SECONDS = 60
_PREFIX = "sqlite:///"
_REMEDY = "use sqlite:///FILE (relative) or sqlite:////FILE (absolute)"


def sqlite_file(url: str) -> Path:
    """The file that a storage URL names.

    Raises:
        InputError: the URL is not of the form `sqlite:///FILE`, or no file can be there.
    """
    name = url.removeprefix(_PREFIX)
    if not url.startswith(_PREFIX) or not name or name == ":memory:" or "?" in name:
        shown = re.sub(r"//.*@", "//…@", url)  # it may be another database's, with a password
        raise InputError(f"{shown!r} is no URL of an SQLite file", _REMEDY)
    file = Path(name)
    if file.is_dir():
        raise InputError(f"the storage {file} is a folder", _REMEDY)
    if not file.parent.is_dir():
        raise InputError(f"the storage's folder {file.parent} does not exist", "create it first")
    return file


def exists(url: str) -> bool:
    """Whether the storage exists already; nothing is created or changed.

    Raises:
        InputError: the URL is wrong, or the file is not an Optuna storage of this version.
    """
    file = sqlite_file(url)
    try:
        if not file.exists() or file.stat().st_size == 0:
            return False
        with closing(sqlite3.connect(file, timeout=BUSY_SECONDS)) as connection:
            tables = {row[0] for row in connection.execute("select name from sqlite_master")}
            if not {"version_info", "studies", "trials"} <= tables:
                raise InputError(f"{file} is a database, but not of studies", "use another file")
            schema = connection.execute("select schema_version from version_info").fetchone()
    except (OSError, sqlite3.Error) as error:
        raise InputError(f"{file} is not a usable storage: {error}", "use another file") from None
    from optuna.storages._rdb.models import SCHEMA_VERSION

    if schema is None or schema[0] != SCHEMA_VERSION:
        raise InputError(
            f"{file} was written by an Optuna with another storage schema",
            f"upgrade it with `optuna storage upgrade --storage {url}`, or use another file",
        )
    return True


def connect(url: str, *, writable: bool) -> "RDBStorage":
    """Open a storage; a writable one is created if need be. Other processes may share it.

    Raises:
        InputError: the storage does not exist and shall only be read, or cannot be opened.
    """
    import optuna
    import sqlalchemy

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = sqlite_file(url)
    try:
        if not exists(url):
            if not writable:
                raise InputError(
                    f"there is no storage {file}",
                    "run a search first, or name its storage with --storage",
                )
            _create(file)
        storage = optuna.storages.RDBStorage(
            url, engine_kwargs={"connect_args": {"timeout": BUSY_SECONDS}}
        )
        if writable:
            _lock_on_begin(storage.engine)
            with storage.engine.begin():  # fails here, and not in mid-search, if it is read-only
                pass
    except (OSError, sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise InputError(
            f"the storage {file} cannot be opened: {reason}", "check that it can be written"
        ) from None
    return storage


def _create(file: Path) -> None:
    """Create an empty storage at once, so that a crash or a second driver never sees half of it."""
    import optuna

    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}-") as folder:
        draft = Path(folder) / "draft.db"
        storage = optuna.storages.RDBStorage(f"{_PREFIX}{draft}")
        storage.engine.dispose()
        with closing(sqlite3.connect(draft)) as connection:
            connection.execute("pragma journal_mode = wal")  # a lasting property of the file
        if file.exists() and file.stat().st_size == 0:
            draft.replace(file)
            return
        with suppress(FileExistsError):  # another driver was quicker: its storage is as good
            file.hardlink_to(draft)


def _lock_on_begin(engine: "Engine") -> None:
    """Let every transaction take SQLite's write lock as it begins, and wait for it.

    One that starts by reading and then wants to write would otherwise fail at once, whatever the
    time-out, if another process has written in between.
    """
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def _manual_transactions(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: "Connection") -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections made before have the usual transactions
