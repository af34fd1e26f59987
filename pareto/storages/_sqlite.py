"""Studies in an SQLite file: for any number of processes on one machine."""

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pareto.storages._files import clock_of_folder, identity_of_file
from pareto.storages._schema import holds_studies
from unlearn.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from sqlalchemy.engine import Connection, Engine

BUSY_SECONDS = 60


class SqliteBackend:
    """An SQLite file."""

    may_come_back = False

    def __init__(self, file: Path) -> None:
        self.shown = str(file)
        self._file = file

    def exists(self) -> bool:
        if not self._file.exists() or self._file.stat().st_size == 0:
            return False
        engine = self._engine()
        try:
            if holds_studies(engine, self.shown):
                return True
        finally:
            engine.dispose()
        raise InputError(f"{self.shown} is a database, but not of studies", "use another file")

    def create(self) -> None:
        from pareto.storages._database import DatabaseStorage

        folder = self._file.parent
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{self._file.name}-") as drafts:
            draft = Path(drafts) / "draft.db"
            DatabaseStorage(f"sqlite:///{draft}", {}).engine.dispose()
            with closing(sqlite3.connect(draft)) as connection:
                connection.execute("pragma journal_mode = wal")  # a lasting property of the file
            if self._file.exists() and self._file.stat().st_size == 0:
                draft.replace(self._file)
                return
            with suppress(FileExistsError):  # another process was quicker: its storage is as good
                self._file.hardlink_to(draft)

    def identity(self) -> object:
        return identity_of_file(self._file)

    def clock(self) -> float:
        return clock_of_folder(self._file.parent)

    def open(self, *, writable: bool) -> "BaseStorage":
        from pareto.storages._database import DatabaseStorage

        url = self._url(writable=writable)
        storage = DatabaseStorage(url, {"connect_args": {"timeout": BUSY_SECONDS}})
        if writable:
            _lock_on_begin(storage.engine)
            storage.check_writable()
        return storage.cached()

    def _engine(self) -> "Engine":
        import sqlalchemy

        url = self._url(writable=False)
        return sqlalchemy.create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    def _url(self, *, writable: bool) -> str:
        """Of the file, for SQLAlchemy.

        SQLite keeps files of its own beside one that is in use, even by readers. Where it may not,
        and nobody writes, it reads the file as one that never changes.
        """
        folder, notes = self._file.parent, self._file.with_name(f"{self._file.name}-wal")
        if writable or os.access(folder, os.W_OK) or notes.exists():
            return f"sqlite:///{self._file}"
        return f"sqlite:///file:{quote(str(self._file.absolute()))}?immutable=1&uri=true"


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
