"""How far a search or an experiment has come."""

from dataclasses import dataclass

import numpy as np

from pareto.front import DIRECTIONS, non_dominated
from pareto.ledger import Ledger
from pareto.results.indicators import hypervolume_share
from pareto.sampling.aim import Aim


@dataclass(frozen=True)
class Progress:
    """Where the work stands after a trial.

    Attributes:
        complete: trials so far, over the study's life.
        total: how many there shall be.
        details: the rest, in words.
    """

    complete: int
    total: int
    details: str


def search_progress(ledger: Ledger, budget: int, aim: Aim | None = None) -> Progress:
    """Of a search: its failures, the size of its front, its hypervolume, and how many trials are
    what it aims at."""
    counts, values = ledger.counts(), np.array(ledger.values()).reshape(-1, len(DIRECTIONS))
    front = values[non_dominated(values, DIRECTIONS)]
    share = hypervolume_share(front, (ledger.note("reference") or {}).get("seconds", 0.0))
    details = f"{counts.failed} failed · front {len(front)} · hypervolume {share:.3f}"
    if aim is not None:
        met = sum(t.state == "complete" and aim.met_by(t.metrics) for t in ledger.trials())
        details += f" · {met} as required"
    return Progress(counts.complete, budget, details)
