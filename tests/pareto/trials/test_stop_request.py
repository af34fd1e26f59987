"""Ctrl-C: what it interrupts never goes on."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from pareto.trials.stop_request import (
    REPEAT_SECONDS,
    STOPS,
    Interruption,
    StopRequest,
    stops_blocked,
)


class InterruptingAtItsEnd:
    """Where Python loses what a signal handler raises, as it does in some callbacks of torch."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)


def interrupt_a_long_trial_twice() -> None:
    with StopRequest().on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        InterruptingAtItsEnd()
        time.sleep(5)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_second_interrupt_is_never_lost() -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt_a_long_trial_twice()


@pytest.fixture
def interruption() -> Iterator[Interruption]:
    """One that SIGTERM causes."""
    interruption = Interruption()
    before = signal.signal(signal.SIGTERM, interruption.on_signal)
    yield interruption
    interruption.is_over()
    signal.signal(signal.SIGTERM, before)


def ask_to_end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_an_interrupt_that_somebody_drops_comes_again(interruption: Interruption) -> None:
    for _ in range(2):
        with suppress(KeyboardInterrupt):
            ask_to_end()
        with pytest.raises(KeyboardInterrupt):
            time.sleep(5)


@contextmanager
def clearing_away(cleared: list[str]) -> Iterator[None]:
    try:
        yield
    finally:
        time.sleep(3 * REPEAT_SECONDS)
        try:
            raise KeyError
        except KeyError:  # as clearing away may meet and handle errors of its own
            time.sleep(3 * REPEAT_SECONDS)
        cleared.append("all")


def test_what_is_cleared_away_meanwhile_is_left_in_peace(interruption: Interruption) -> None:
    cleared: list[str] = []
    with suppress(KeyboardInterrupt), clearing_away(cleared):
        ask_to_end()
    assert cleared == ["all"]
    with pytest.raises(KeyboardInterrupt):  # nobody has said that it is over
        time.sleep(5)
    interruption.is_over()
    time.sleep(3 * REPEAT_SECONDS)


def test_a_user_may_interrupt_even_that(interruption: Interruption) -> None:
    cleared: list[str] = []
    threading.Timer(1.5 * REPEAT_SECONDS, ask_to_end).start()
    with suppress(KeyboardInterrupt), clearing_away(cleared):
        ask_to_end()
    assert not cleared


def test_a_signal_that_is_blocked_already_stays_so() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    try:
        with stops_blocked():
            assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= set(STOPS)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before | {signal.SIGHUP}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize("number", STOPS)
def test_whatever_asks_a_program_to_end_is_a_request(number: signal.Signals) -> None:
    stop, before = StopRequest(), signal.signal(number, signal.SIG_DFL)
    try:
        with stop.on_signals():
            os.kill(os.getpid(), number)
            assert stop.requested
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_a_terminal_that_goes_away_is_none_under_nohup() -> None:
    stop, before = StopRequest(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop.on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)
