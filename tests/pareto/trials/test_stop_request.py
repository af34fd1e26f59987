"""Ctrl-C: the second one is never lost."""

import os
import signal
import sys
import time

import pytest

from pareto.trials.stop_request import STOPS, StopRequest, interrupt_again


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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nor_is_it_where_ctrl_c_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    class EndingAtItsEnd:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    monkeypatch.setattr(sys, "unraisablehook", interrupt_again)
    on_sigint = signal.signal(signal.SIGINT, signal.SIG_IGN)
    on_sigterm = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        EndingAtItsEnd()
        with pytest.raises(KeyboardInterrupt):
            time.sleep(5)
    finally:
        signal.signal(signal.SIGINT, on_sigint)
        signal.signal(signal.SIGTERM, on_sigterm)


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
