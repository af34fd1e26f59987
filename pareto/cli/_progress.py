"""The progress of a search or an experiment, on standard error."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pareto.cli._output import message_console
from pareto.trials.progress import Progress as TrialProgress
from unlearn.errors import InputError

LINES, SILENCE = 10, 60.0
"""How many lines tell of the progress where no bar can be drawn, and after how many seconds there
is another one."""


class ProgressDisplay:
    """A bar on a terminal; some lines where there is none; nothing if quiet."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Progress | None = None
        self._printed, self._last = -1, 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar, if any, while the block runs."""
        if self._quiet or not message_console.is_terminal:
            yield
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[details]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=message_console,
        )
        self._task = self._bar.add_task("trials", total=None, details="")
        try:
            with suppress(OSError):  # of a terminal that has gone away
                self._bar.start()
            yield
        finally:
            with suppress(OSError):
                self._bar.stop()

    def announce(self, message: str) -> None:
        """A step of the preparation, or a warning."""
        if not self._quiet:
            message_console.print(message, soft_wrap=True)

    def announce_files(self, write: Callable[[], Sequence[Path]]) -> None:
        """Write pictures and tables, and say where. Where that fails, all that they are made of is
        in the storage, and on standard output: the command has done what it was asked for."""
        try:
            self.announce(f"wrote {', '.join(map(str, write()))}")
        except InputError as error:
            self.announce(f"no pictures and tables: {error.problem}; {error.remedy}")

    def update(self, progress: TrialProgress) -> None:
        """A trial has ended."""
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=progress.complete,
                total=progress.total,
                details=progress.details,
            )
            return
        part = progress.complete * LINES // progress.total
        now = time.monotonic()
        if part != self._printed or now - self._last >= SILENCE:
            self._printed, self._last = part, now
            message_console.print(
                f"{progress.complete}/{progress.total} complete · {progress.details}",
            )
