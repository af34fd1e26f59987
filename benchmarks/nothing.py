"""Trials that do nothing, for measuring everything around them."""

import time
from collections.abc import Callable
from functools import partial

import torch

from pareto.trials.outcome import Failure, Outcome, Ticket


def do_nothing(seconds: float, ticket: Ticket) -> Outcome | Failure:
    """A trial that takes so long, and whose figures depend on nothing but its seed."""
    time.sleep(seconds)
    luck = ticket.seed % 1000 / 1000
    return Outcome({"ta": 100 * luck, "frm": 1 - luck, "rte": 1 + luck}, {})


def make_runner(seconds: float, _device: torch.device) -> Callable[[Ticket], Outcome | Failure]:
    """What a worker runs."""
    return partial(do_nothing, seconds)
