"""Quality indicators: one figure for a front, or for one front against another.

Points are N×3 arrays of TA (percent), FRM and RTE (seconds), as in `pareto.front`. For the terms,
see Zitzler et al., "Performance assessment of multiobjective optimizers" (2003).
"""

import numpy as np
from numpy.typing import ArrayLike

from pareto.front import DIRECTIONS, hypervolume, non_dominated

TA_TOLERANCE = 1.0
"""How many percentage points of TA are given away for more points to be compared."""


def hypervolume_share(values: ArrayLike, seconds: float) -> float:
    """The share of the box TA 0..100, FRM 0..1, RTE 0..`seconds` that the points dominate.

    Shares can be compared only if they are of the same box. That of an empty box is 0.
    """
    volume = hypervolume(values, DIRECTIONS, (0.0, 0.0, seconds))
    return volume / (100.0 * seconds) if seconds else 0.0


def coverage(by: ArrayLike, values: ArrayLike) -> float:
    """The share of the front of `values` that the points of `by` dominate.

    The C metric, C(by, values), of Zitzler and Thiele (1999), but for equal points, which count as
    covered there. It has no symmetry: both directions have to be looked at.

    Returns:
        0 if there are no values.
    """
    rivals = np.asarray(by, dtype=float).reshape(-1, len(DIRECTIONS))
    points = np.asarray(values, dtype=float).reshape(-1, len(DIRECTIONS))
    front = points[non_dominated(points, DIRECTIONS)]
    if not len(front):
        return 0.0
    # None of the front dominates another, so what is missing from both together fell to rivals.
    left = non_dominated(np.concatenate([front, rivals]), DIRECTIONS)[: len(front)]
    return 1.0 - float(left.mean())


def common_ta(values: ArrayLike, others: ArrayLike) -> float:
    """The highest TA that both sets of points reach, less `TA_TOLERANCE`, in percent.

    Without a tolerance the set that reaches less would be judged by a single point.

    Raises:
        ValueError: a set is empty.
    """
    return min(float(np.asarray(one)[:, 0].max()) for one in (values, others)) - TA_TOLERANCE


def best_with_ta(values: ArrayLike, ta: float) -> tuple[int, int]:
    """The points with the highest FRM and with the lowest RTE among those with so much TA or more.

    Of equals, the one that is better in the other of the two, then in TA, then the first.

    Returns:
        Their rows.

    Raises:
        ValueError: there is no such point.
    """
    points = np.asarray(values, dtype=float)
    rows = np.flatnonzero(points[:, 0] >= ta)
    if not len(rows):
        raise ValueError(f"no point reaches a TA of {ta}")
    accuracy, likeness, cost = points[rows].T
    # lexsort sorts by its last key first.
    private = np.lexsort((-accuracy, cost, -likeness))[0]
    cheap = np.lexsort((-accuracy, -likeness, cost))[0]
    return int(rows[private]), int(rows[cheap])
