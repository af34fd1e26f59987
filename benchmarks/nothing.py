"""Trials that do nothing, for measuring everything around them."""

from collections.abc import Callable

import torch

from pareto.outcome import Failure, Outcome, Ticket


def do_nothing(ticket: Ticket) -> Outcome | Failure:
    """A trial whose figures depend on nothing but its seed."""
    luck = ticket.seed % 1000 / 1000
    return Outcome({"ta": 100 * luck, "frm": 1 - luck, "rte": 1 + luck}, {})


def make_runner(_device: torch.device) -> Callable[[Ticket], Outcome | Failure]:
    """What a worker runs."""
    return do_nothing
