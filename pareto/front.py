"""The mathematics of a Pareto front: dominance, hypervolume, knee.

Everywhere, `values` is an N×M array with one row per point and one column per objective, and
`directions` holds M words, `maximize` or `minimize`. A row dominates another if it is at least as
good in every objective and better in one. Equal rows don't dominate each other: all are kept. A row
with a NaN is dominated by any row without one, and is never on the front.
"""

from collections.abc import Sequence
from typing import Literal

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

Direction = Literal["maximize", "minimize"]

OBJECTIVES = ("ta", "frm", "rte")
DIRECTIONS: tuple[Direction, ...] = ("maximize", "maximize", "minimize")


def non_dominated(values: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.bool_]:
    """Which of the N points no other point dominates.

    Returns:
        N booleans; all copies of a non-dominated point are True.
    """
    points, maximise = _checked(values, directions)
    mask: NDArray[np.bool_] = np.logical_not(np.isnan(points).any(axis=1))
    if mask.any():
        # Ranks have the same order. Of three columns moocore's own code cannot have an infinity.
        ranks = np.apply_along_axis(lambda column: np.unique_inverse(column)[1], 0, points[mask])
        mask[mask] = moocore.is_nondominated(
            ranks.astype(float), maximise=maximise, keep_weakly=True
        )
    return mask


def hypervolume(values: ArrayLike, directions: Sequence[Direction], reference: ArrayLike) -> float:
    """The volume that the points dominate, bounded by `reference`, in the objectives' own units.

    Args:
        reference: M values; points that are not better than it in every objective add nothing.

    Raises:
        ValueError: a value is infinite, and the volume would be as well, or mean nothing.
    """
    points, maximise = _checked(values, directions)
    if np.isinf(points).any():
        raise ValueError("no volume has infinite values")
    corner = np.asarray(reference, dtype=float)
    if corner.shape != (points.shape[1],):
        raise ValueError(f"the reference has shape {corner.shape}, not ({points.shape[1]},)")
    points = points[~np.isnan(points).any(axis=1)]
    if not len(points):
        return 0.0
    return float(moocore.hypervolume(points, ref=corner, maximise=maximise))


def knee(values: ArrayLike, directions: Sequence[Direction]) -> int | None:
    """The front's bulge: the point furthest beyond the plane through the front's extremes.

    Each objective is scaled to 0 (worst on the front) .. 1 (best on the front), which puts the
    extremes at the unit vectors; the distance to their plane then grows with the sum of the scaled
    objectives (Das 1999, on the normal boundary). Objectives that don't vary don't count.

    Returns:
        Its row, the first of equals; None if there is no point.
    """
    front, gains = _gains(values, directions)
    if not len(front):
        return None
    low, span = gains.min(axis=0), np.ptp(gains, axis=0)
    scaled = (gains - low) / np.where(span > 0, span, 1.0)
    return int(front[np.argmax(scaled.sum(axis=1))])


def extremes(values: ArrayLike, directions: Sequence[Direction]) -> list[int | None]:
    """For each objective the row of the front that is best in it, the first of equals; None if
    there is no point."""
    front, gains = _gains(values, directions)
    if not len(front):
        return [None] * len(directions)
    return [int(front[best]) for best in gains.argmax(axis=0)]


def _gains(
    values: ArrayLike, directions: Sequence[Direction]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The rows of the front, and their values with the sign that makes more the better."""
    points, maximise = _checked(values, directions)
    front = np.flatnonzero(non_dominated(points, directions))
    return front, np.where(maximise, 1.0, -1.0) * points[front]


def _checked(
    values: ArrayLike, directions: Sequence[Direction]
) -> tuple[NDArray[np.float64], list[bool]]:
    points = np.asarray(values, dtype=float)
    if points.size == 0:
        points = points.reshape(0, len(directions))
    if points.ndim != 2 or points.shape[1] != len(directions):
        raise ValueError(f"values of shape {points.shape} don't fit {len(directions)} directions")
    unknown = set(directions) - {"maximize", "minimize"}
    if unknown:
        raise ValueError(f"{unknown.pop()!r} is no direction")
    return points, [direction == "maximize" for direction in directions]
