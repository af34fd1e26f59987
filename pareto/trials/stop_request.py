"""Ctrl-C: once to end well, twice to end at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

HANGUP: int | None = getattr(signal, "SIGHUP", None)  # Windows has none
STOPS: list[int] = [signal.SIGINT, signal.SIGTERM, *([] if HANGUP is None else [HANGUP])]
"""What asks a program to end: a user, an operating system, a terminal that goes away."""

DEFERRED_SECONDS = 2.0
"""How long a signal may be deferred."""


class StopRequest:
    """Set by the first signal; the second one raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.requested = False
        self._deferring = 0
        self._repeats: threading.Timer | None = None

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """React to `STOPS` within the block, but for those that are ignored, as by `nohup`; only
        the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = [number for number in STOPS if not is_left_alone(number)]
        before = [signal.signal(number, self._handle) for number in signals]
        hook, sys.unraisablehook = sys.unraisablehook, interrupt_again
        try:
            yield
        finally:
            sys.unraisablehook = hook
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let a second signal raise when the block ends, and not in the middle of it: the storage
        would know of a trial that nobody here remembers. A block that takes too long is left."""
        self._deferring += 1
        try:
            yield
        finally:
            self._deferring -= 1
        if self._repeats is not None and not self._deferring:
            self._repeats.cancel()
            self._repeats = None
            raise KeyboardInterrupt

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        if not self.requested:
            self.requested = True
        elif self._deferring and self._repeats is None:
            self._repeats = _interrupt_after(DEFERRED_SECONDS)
        else:
            raise KeyboardInterrupt


@contextmanager
def stops_blocked(stops: Sequence[int] = STOPS) -> Iterator[None]:
    """Block what asks to end for processes that are started in the block: a terminal, `timeout` or
    a batch system sends it to all, and what it means is for this one to say. A blocked signal
    stays blocked in children and theirs, from their first moment on."""
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, stops)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)


def is_left_alone(number: int) -> bool:
    """Whether a signal is one that this program was started to ignore."""
    return number == HANGUP and signal.getsignal(number) == signal.SIG_IGN


def _interrupt() -> None:
    """By a signal that is listened to: what a shell starts in the background ignores SIGINT."""
    heard = (number for number in STOPS if callable(signal.getsignal(number)))
    os.kill(os.getpid(), next(heard, signal.SIGINT))


def _interrupt_after(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, _interrupt)
    timer.daemon = True
    timer.start()
    return timer


def interrupt_again(lost: "sys.UnraisableHookArgs") -> None:
    """Python drops what a signal handler raises in a finaliser; then the signal comes again."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        _interrupt_after(0.05)
    else:
        sys.__unraisablehook__(lost)
