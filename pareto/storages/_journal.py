"""Studies in a journal file: every change is a line. Works on network file systems with locks."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pareto.storages._files import clock_of_folder, identity_of_file
from unlearn.errors import InputError, in_one_line

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

BEGINNING = b'{"op_code"'
"""Of every line of a journal."""


class JournalBackend:
    """A journal file, with a lock file beside it."""

    may_come_back = False

    def __init__(self, file: Path) -> None:
        self.shown = str(file)
        self._file = file

    def exists(self) -> bool:
        if not self._file.exists():
            return False
        with self._file.open("rb") as lines:
            first = lines.readline()
        if not first.endswith(b"\n") and BEGINNING.startswith(first[: len(BEGINNING)]):
            return False  # empty, or its author died with the first line
        try:
            is_journal = "op_code" in json.loads(first)
        except (ValueError, TypeError):
            is_journal = False
        if not is_journal:
            raise InputError(f"{self.shown} is not a journal of studies", "use another file")
        return True

    def create(self) -> None:
        self._file.touch()

    def identity(self) -> object:
        return identity_of_file(self._file)

    def clock(self) -> float:
        return clock_of_folder(self._file.parent)

    def open(self, *, writable: bool) -> "BaseStorage":
        from optuna.storages import JournalStorage

        from pareto.storages._journal_file import JournalFile

        if writable:
            with self._file.open("ab"):  # fails here, and not in mid-search, if it is read-only
                pass
        try:
            return JournalStorage(JournalFile(self._file))
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            raise InputError(
                f"the journal {self.shown} is damaged: {in_one_line(error)}",
                "restore it from a backup, or use another file",
            ) from None
