"""Ctrl-C: once to end well, twice to end at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import NoReturn

HANGUP: int | None = getattr(signal, "SIGHUP", None)  # Windows has none
STOPS: list[int] = [signal.SIGINT, signal.SIGTERM, *([] if HANGUP is None else [HANGUP])]
"""What asks a program to end: a user, an operating system, a terminal that goes away."""

DEFERRED_SECONDS = 2.0
"""How long a signal may be deferred."""

REPEAT_SECONDS = 0.2
"""After which an interrupt that nobody handles comes again."""


class Interruption:
    """A KeyboardInterrupt that cannot get lost.

    What a signal handler raises is dropped where C code calls Python code and has no use for its
    exceptions: in finalisers, in callbacks of weak references, in some modules while they are
    imported. So it is raised again and again, until it is handled.
    """

    def __init__(self) -> None:
        self._repeats: threading.Timer | None = None
        self._is_repeat = False
        self._signal: int = signal.SIGINT

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """The handler of a signal that interrupts whatever goes on."""
        if not self.is_being_handled(number):
            self.interrupt()

    def is_being_handled(self, number: int) -> bool:
        """For a signal's handler, first of all: whether the signal is no new one, and what
        `finally` and `except` do about the last one goes on."""
        self._signal = number
        is_repeat, self._is_repeat = self._is_repeat, False
        if not is_repeat:
            return False
        handled = sys.exception()
        while handled is not None and not isinstance(handled, KeyboardInterrupt):
            handled = handled.__context__
        if handled is not None:
            self._repeat_later()
        return handled is not None

    def interrupt(self) -> NoReturn:
        """
        Raises:
            KeyboardInterrupt: always.
        """
        self._repeat_later()
        raise KeyboardInterrupt

    def is_over(self) -> None:
        """Whoever had to know of it does."""
        if self._repeats is not None:
            self._repeats.cancel()
            self._repeats = None

    def _repeat_later(self) -> None:
        self.is_over()
        self._repeats = _after(REPEAT_SECONDS, self._repeat)

    def _repeat(self) -> None:
        self._is_repeat = True
        os.kill(os.getpid(), self._signal)


class StopRequest:
    """Set by the first signal; the second one raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.requested = False
        self._deferring = 0
        self._deferred: threading.Timer | None = None
        self._interruption = Interruption()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """React to `STOPS` within the block, but for those that are ignored, as by `nohup`; only
        the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = [number for number in STOPS if not is_left_alone(number)]
        before = [signal.signal(number, self._handle) for number in signals]
        hook, sys.unraisablehook = sys.unraisablehook, drop_silently
        try:
            yield
        finally:
            self._interruption.is_over()
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
        if self._deferred is not None and not self._deferring:
            self._deferred.cancel()
            self._deferred = None
            self._interruption.interrupt()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._interruption.is_being_handled(number):
            return
        if not self.requested:
            self.requested = True
        elif self._deferring and self._deferred is None:
            self._deferred = _after(DEFERRED_SECONDS, partial(os.kill, os.getpid(), number))
        else:
            self._interruption.interrupt()


@contextmanager
def stops_blocked(stops: Sequence[int] = STOPS) -> Iterator[None]:
    """Block what asks to end for processes that are started in the block: a terminal, `timeout` or
    a batch system sends it to all, and what it means is for this one to say. A blocked signal
    stays blocked in children and theirs, from their first moment on."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, stops)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, set(stops) - blocked)


def is_left_alone(number: int) -> bool:
    """Whether a signal is one that this program was started to ignore: by `nohup`, or by a script
    that leaves it in the background."""
    return number != signal.SIGTERM and signal.getsignal(number) == signal.SIG_IGN


def drop_silently(lost: "sys.UnraisableHookArgs") -> None:
    """A hook for exceptions that Python drops: an interrupt comes again, and is no error."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)


def _after(seconds: float, act: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    return timer
