"""Front mathematics against brute force."""

import math
from collections.abc import Sequence
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pareto.front import Direction, extremes, hypervolume, knee, non_dominated

Points = list[tuple[float, ...]]
Case = tuple[Points, list[Direction]]

MAX_MAX_MIN: list[Direction] = ["maximize", "maximize", "minimize"]
DIRECTION: st.SearchStrategy[Direction] = st.sampled_from(["maximize", "minimize"])
# Few different coordinates, so that ties and duplicates are common.
COORDINATE = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6), st.just(float("nan")))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Some points, and as many directions as they have coordinates."""
    directions = draw(st.lists(DIRECTION, min_size=1, max_size=4))
    point = st.tuples(*(COORDINATE for _ in directions))
    return draw(st.lists(point, max_size=20)), directions


def losses(points: Points, directions: Sequence[Direction]) -> NDArray[np.float64]:
    signs = [-1.0 if direction == "maximize" else 1.0 for direction in directions]
    return np.array(points, dtype=float).reshape(len(points), len(directions)) * signs


def dominated_by_hand(points: Points, directions: Sequence[Direction]) -> list[bool]:
    """The definition of dominance, every point against every other."""
    rows = losses(points, directions)
    return [
        bool(np.isnan(row).any())
        or any(bool((other <= row).all() and (other < row).any()) for other in rows)
        for row in rows
    ]


@given(cases())
def test_dominance_is_what_comparing_all_pairs_says(case: Case) -> None:
    points, directions = case
    kept = non_dominated(points, directions)
    assert kept.tolist() == [not dominated for dominated in dominated_by_hand(points, directions)]


@given(cases(), st.randoms(use_true_random=False))
def test_dominance_does_not_depend_on_the_order_of_points(case: Case, random: Random) -> None:
    points, directions = case
    order = list(range(len(points)))
    random.shuffle(order)
    shuffled = non_dominated([points[row] for row in order], directions)
    assert shuffled.tolist() == non_dominated(points, directions)[order].tolist()


def test_all_copies_of_the_best_point_are_kept() -> None:
    kept = non_dominated([(1, 1), (1, 1), (0, 1), (1, 1)], ["maximize", "maximize"])
    assert kept.tolist() == [True, True, False, True]


def test_infinities_are_ordinary_values() -> None:
    points = [(float("inf"), 0), (0, float("-inf")), (1, 1)]
    assert non_dominated(points, ["maximize", "minimize"]).tolist() == [True, True, False]


@given(
    st.lists(st.tuples(*[st.sampled_from([-math.inf, 0.0, 1.0, math.inf])] * 3), min_size=1),
    st.permutations(MAX_MAX_MIN),
)
def test_so_they_are_in_three_columns(
    points: list[tuple[float, ...]], directions: list[Direction]
) -> None:
    kept = non_dominated(points, directions)
    assert kept.tolist() == [not dominated for dominated in dominated_by_hand(points, directions)]


def test_no_points_have_an_empty_front() -> None:
    assert non_dominated([], MAX_MAX_MIN).shape == (0,)


def covered_cells(
    points: Points, directions: Sequence[Direction], reference: Sequence[float], reach: int
) -> int:
    """How many unit cells of a grid some point dominates, bounded by the reference."""
    rows, corner = losses(points, directions), losses([tuple(reference)], directions)[0]
    cells = product(range(-reach, reach), repeat=len(directions))
    return sum(
        any(all(row[axis] <= cell[axis] for axis in range(len(cell))) for row in rows)
        and all(cell[axis] + 1 <= corner[axis] for axis in range(len(cell)))
        for cell in cells
    )


@given(
    st.lists(st.tuples(*(st.integers(-3, 3).map(float) for _ in range(3))), max_size=6),
    st.tuples(*(st.integers(-3, 3).map(float) for _ in range(3))),
    st.tuples(DIRECTION, DIRECTION, DIRECTION),
)
def test_hypervolume_is_the_number_of_unit_cells_that_points_cover(
    points: Points, reference: tuple[float, ...], directions: tuple[Direction, ...]
) -> None:
    expected = covered_cells(points, directions, reference, reach=3)
    assert hypervolume(points, directions, reference) == pytest.approx(expected)


def test_hypervolume_of_two_boxes_is_their_union() -> None:
    # 1·2·3 + 2·1·3 − their common 1·1·3, with a cost of 7 against a limit of 10.
    volume = hypervolume([(1, 2, 7), (2, 1, 7)], MAX_MAX_MIN, (0, 0, 10))
    assert volume == pytest.approx(9)


@pytest.mark.parametrize(
    "beyond", [(5, 5, 10), (5, 5, 11), (0, 5, 1), (-1, 5, 1), (5, -2, 1), (float("nan"), 5, 1)]
)
def test_points_not_better_than_the_reference_everywhere_add_nothing(
    beyond: tuple[float, float, float],
) -> None:
    inside = [(1.0, 2.0, 7.0)]
    alone = hypervolume(inside, MAX_MAX_MIN, (0, 0, 10))
    assert hypervolume([*inside, beyond], MAX_MAX_MIN, (0, 0, 10)) == alone


def test_infinite_values_have_no_hypervolume() -> None:
    with pytest.raises(ValueError, match="infinite"):
        hypervolume([(math.inf, 1, 1), (1, 1, 1)], MAX_MAX_MIN, (0, 0, 10))


def test_hypervolume_of_no_points_is_zero() -> None:
    assert hypervolume([], MAX_MAX_MIN, (0, 0, 1)) == 0


def test_the_knee_bulges_furthest_beyond_the_line_through_the_extremes() -> None:
    front = [(0, 10), (3, 9), (7, 7), (9, 3), (10, 0)]
    assert knee(front, ["maximize", "maximize"]) == 2


def test_the_knee_is_judged_in_scaled_objectives() -> None:
    # Scaled by their ranges on the front: (0, 1), (.5, .9), (1, 0); raw sums favour the last.
    front = [(0, 0.01), (500, 0.009), (1000, 0)]
    assert knee(front, ["maximize", "maximize"]) == 1


def test_the_knee_is_never_a_dominated_point() -> None:
    # The dominated point stretches no range, although it costs ten times as much as any other.
    points = [(6, 6, 100), (0, 10, 1), (6, 6, 1), (10, 0, 1)]
    assert knee(points, MAX_MAX_MIN) == 2


def test_an_objective_that_does_not_vary_does_not_move_the_knee() -> None:
    front = [(0, 10, 5), (7, 7, 5), (10, 0, 5)]
    assert knee(front, MAX_MAX_MIN) == 1


def test_of_equal_knees_the_first_is_taken() -> None:
    front = [(0, 10), (7, 7), (7, 7), (10, 0)]
    assert knee(front, ["maximize", "maximize"]) == 1


def test_a_single_point_is_its_own_knee() -> None:
    assert knee([(float("nan"), 1), (2, 3)], ["maximize", "minimize"]) == 1


@given(cases())
def test_knee_and_extremes_lie_on_the_front(case: Case) -> None:
    points, directions = case
    front = set(np.flatnonzero(non_dominated(points, directions)).tolist())
    special = {knee(points, directions), *extremes(points, directions)}
    assert special <= front if front else special == {None}


def test_extremes_are_the_best_in_each_objective() -> None:
    points = [(90, 0.2, 5), (80, 0.9, 6), (70, 0.5, 1), (95, 0.1, 9)]
    assert extremes(points, MAX_MAX_MIN) == [3, 1, 2]


def test_of_equal_extremes_the_first_on_the_front_is_taken() -> None:
    points = [(90, 0.2, 5), (90, 0.3, 5), (90, 0.1, 4)]
    assert extremes(points, MAX_MAX_MIN) == [1, 1, 2]


@pytest.mark.parametrize("values", [[(1, 2)], [1, 2, 3], [[(1, 2, 3)]]])
def test_values_that_do_not_fit_the_directions_are_refused(values: list[object]) -> None:
    with pytest.raises(ValueError, match="don't fit 3 directions"):
        non_dominated(values, MAX_MAX_MIN)  # type: ignore[arg-type]


def test_an_unknown_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="'up' is no direction"):
        non_dominated([(1, 2)], ["maximize", "up"])  # type: ignore[list-item]


@pytest.mark.parametrize("reference", [(0, 0), (0, 0, 1, 1), 0])
def test_a_reference_of_another_size_is_refused(reference: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="the reference has shape"):
        hypervolume([(1, 2, 3)], MAX_MAX_MIN, reference)
