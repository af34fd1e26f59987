"""Optuna's journal file, made safe against crashes and full disks."""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock
from optuna.storages.journal import JournalFileBackend

LOCK_POLL_SECONDS = 0.005
TAIL_BYTES = 1 << 16


class Damaged(OSError, ValueError):
    """A journal is none any more: a place that fails, or a wrong file for who opens it."""


class JournalFile(JournalFileBackend):
    """Optuna's, with a lock that the system releases when its holder dies, and without torn lines:
    the next one would be appended to them and make the journal unreadable."""

    def __init__(self, file: Path) -> None:
        super().__init__(str(file))
        self._file = file
        self._write_lock = FileLock(f"{file}.lock", poll_interval=LOCK_POLL_SECONDS)

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        try:
            yield from super().read_logs(log_number_from)
        except ValueError as error:
            raise Damaged(f"the journal is damaged: {error}") from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._write_lock, self._file.open("r+b", buffering=0) as journal:
            end = _drop_torn_line(journal)
            rest = memoryview(lines.encode())
            try:
                while rest:
                    rest = rest[journal.write(rest) :]
                os.fsync(journal.fileno())
            except OSError:
                journal.truncate(end)
                raise


def _drop_torn_line(journal: BinaryIO) -> int:
    """Cut off a last line that its author did not live to end; returns where the file ends."""
    end = journal.seek(0, os.SEEK_END)
    if end == 0:
        return 0
    journal.seek(end - 1)
    if journal.read(1) == b"\n":
        return journal.seek(end)
    start = end
    while start > 0:
        length = min(TAIL_BYTES, start)
        start -= length
        journal.seek(start)
        position = journal.read(length).rfind(b"\n")
        if position >= 0:
            journal.truncate(start + position + 1)
            return journal.seek(start + position + 1)
    journal.truncate(0)
    return journal.seek(0)
