"""Quality indicators against their definitions and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pareto.results.indicators import (
    TA_TOLERANCE,
    best_with_ta,
    common_ta,
    coverage,
    hypervolume_share,
)

Point = tuple[float, float, float]
# Few different coordinates, so that ties and duplicates are common.
POINT = st.tuples(
    st.integers(0, 4).map(lambda step: 25.0 * step),
    st.integers(0, 4).map(lambda step: 0.25 * step),
    st.integers(0, 4).map(float),
)
POINTS = st.lists(POINT, max_size=12)
SOME = st.lists(POINT, min_size=1, max_size=12)


def dominates(one: Point, other: Point) -> bool:
    """By definition, with TA and FRM to be high and RTE to be low."""
    no_worse = one[0] >= other[0] and one[1] >= other[1] and one[2] <= other[2]
    return no_worse and one != other


@given(POINTS, POINTS)
def test_coverage_is_what_comparing_all_pairs_says(by: list[Point], values: list[Point]) -> None:
    front = [one for one in values if not any(dominates(other, one) for other in values)]
    beaten = [one for one in front if any(dominates(other, one) for other in by)]
    expected = len(beaten) / len(front) if front else 0.0
    assert coverage(by, values) == pytest.approx(expected)


@given(POINTS)
def test_nothing_dominates_its_equals(values: list[Point]) -> None:
    assert coverage(values, values) == 0


@given(SOME)
def test_what_is_better_everywhere_dominates_all(values: list[Point]) -> None:
    best = [(101.0, 1.1, -1.0)]
    assert (coverage(best, values), coverage(values, best)) == (1, 0)


@given(POINT, st.floats(0.5, 10))
def test_the_share_of_one_point_is_its_box(point: Point, seconds: float) -> None:
    ta, frm, rte = point
    expected = ta / 100 * frm * max(0.0, 1 - rte / seconds)
    assert hypervolume_share([point], seconds) == pytest.approx(expected, abs=1e-12)


@given(POINTS)
def test_the_share_is_that_of_the_grid_cells_that_points_dominate(values: list[Point]) -> None:
    steps = np.arange(4)
    middles = np.stack(
        np.meshgrid(25 * (steps + 0.5), 0.25 * (steps + 0.5), steps + 0.5), axis=-1
    ).reshape(-1, 3)
    inside = [any(dominates(one, tuple(middle)) for one in values) for middle in middles]
    assert hypervolume_share(values, 4.0) == pytest.approx(np.mean(inside))


def test_the_ideal_fills_the_box_and_an_empty_box_has_no_share() -> None:
    assert hypervolume_share([(100.0, 1.0, 0.0)], 7.0) == pytest.approx(1)
    assert hypervolume_share([(100.0, 1.0, 0.0)], 0.0) == 0


@given(SOME, SOME)
def test_both_reach_the_common_ta_before_the_tolerance_and_one_no_more(
    values: list[Point], others: list[Point]
) -> None:
    ta = common_ta(values, others) + TA_TOLERANCE
    reached = [{point[0] for point in points if point[0] >= ta} for points in (values, others)]
    assert all(reached)
    assert {ta} in reached


@given(SOME, st.sampled_from([0.0, 25.0, 60.0]))
def test_the_best_are_those_that_no_eligible_point_beats(values: list[Point], ta: float) -> None:
    eligible = [point for point in values if point[0] >= ta]
    if not eligible:
        with pytest.raises(ValueError, match="no point reaches"):
            best_with_ta(values, ta)
        return
    private, cheap = (values[row] for row in best_with_ta(values, ta))
    assert (-private[1], private[2], -private[0]) == min((-f, r, -t) for t, f, r in eligible)
    assert (cheap[2], -cheap[1], -cheap[0]) == min((r, -f, -t) for t, f, r in eligible)


def test_of_equal_best_the_first_is_taken() -> None:
    assert best_with_ta([(50, 0.9, 1), (90, 0.5, 2), (90, 0.5, 2)], 60) == (1, 1)
