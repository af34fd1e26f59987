"""The forgetting-retraining metric FRM (ConMU, Eq. 9): how like a retrained model θ_u behaves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

FLOOR = 1.0
"""The smallest reference, in percentage points, that a gap is divided by."""


@dataclass(frozen=True)
class Metrics:
    """The three figures that FRM compares, each in percent (0..100).

    Attributes:
        fa: forget accuracy, on D_f.
        ra: retain accuracy, on D_r.
        mia: MIA-efficacy, the share of D_f that the attack takes for non-members.
    """

    fa: float
    ra: float
    mia: float


def frm_score(unlearned: Metrics, reference: Metrics) -> float:
    """exp(−(|FA_u − FA_r|/FA_r + |RA_u − RA_r|/RA_r + |MIA_u − MIA_r|/MIA_r)); more is better.

    ConMU, Eq. 9, which is undefined where a reference is 0, as FA_r is once a whole class is
    forgotten. Gaps are therefore divided by max(reference, `FLOOR`): a departure from Eq. 9 only
    where a reference lies under 1 %, and there `is_degenerate` says so.

    Returns:
        A value in [0, 1]; 1 iff all three figures equal the reference's.
    """
    gaps = (
        abs(ours - theirs) / max(theirs, FLOOR)
        for ours, theirs in (
            (unlearned.fa, reference.fa),
            (unlearned.ra, reference.ra),
            (unlearned.mia, reference.mia),
        )
    )
    return math.exp(-sum(gaps))


def is_degenerate(reference: Metrics) -> bool:
    """True if a reference figure lies under `FLOOR`, so that FRM departs from Eq. 9."""
    return min(reference.fa, reference.ra, reference.mia) < FLOOR


def mean_metrics(runs: Sequence[Metrics]) -> Metrics:
    """The mean of each figure over at least one run."""
    count = len(runs)
    return Metrics(
        fa=sum(run.fa for run in runs) / count,
        ra=sum(run.ra for run in runs) / count,
        mia=sum(run.mia for run in runs) / count,
    )
