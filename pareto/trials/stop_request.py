"""Ctrl-C: once to end well, twice to end at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Set by the first signal; the second one raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.requested = False

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """React to SIGINT and SIGTERM within the block; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._handle) for number in signals]
        hook, sys.unraisablehook = sys.unraisablehook, _interrupt_again
        try:
            yield
        finally:
            sys.unraisablehook = hook
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


def _interrupt_again(lost: "sys.UnraisableHookArgs") -> None:
    """Python drops what a signal handler raises in a finaliser; then the signal comes again."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(lost)
