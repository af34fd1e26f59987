"""How far a search or an experiment has come."""

from dataclasses import dataclass

from pareto.ledger import Ledger
from pareto.study import Study


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


def search_progress(ledger: Ledger, budget: int) -> Progress:
    """Of a search: its failures, the size of its front, and its hypervolume."""
    study, counts = Study(ledger, ""), ledger.counts()
    return Progress(
        counts.complete,
        budget,
        f"{counts.failed} failed · front {len(study.front())}"
        f" · hypervolume {study.hypervolume_share():.3f}",
    )
