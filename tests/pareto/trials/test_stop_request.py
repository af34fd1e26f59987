"""Ctrl-C: the second one is never lost."""

import os
import signal
import time

import pytest

from pareto.trials.stop_request import StopRequest


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
