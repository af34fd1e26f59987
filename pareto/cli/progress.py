"""The progress of a search, on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pareto.cli.output import message_console
from pareto.trial_feed import Progress as SearchProgress

LINES = 10
"""How many lines tell of the progress where no bar can be drawn."""


class ProgressDisplay:
    """A bar on a terminal; some lines where there is none; nothing if quiet."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Progress | None = None
        self._printed = -1

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
        with self._bar:
            yield

    def announce(self, message: str) -> None:
        """A step of the preparation, or a warning."""
        if not self._quiet:
            message_console.print(message, highlight=False, soft_wrap=True)

    def update(self, progress: SearchProgress) -> None:
        """A trial has ended."""
        if self._quiet:
            return
        details = (
            f"{progress.failed} failed · front {progress.front}"
            f" · hypervolume {progress.hypervolume:.3f}"
        )
        if self._bar is not None:
            self._bar.update(
                self._task, completed=progress.complete, total=progress.budget, details=details
            )
            return
        part = progress.complete * LINES // progress.budget
        if part != self._printed:
            self._printed = part
            message_console.print(
                f"{progress.complete}/{progress.budget} complete · {details}", highlight=False
            )
