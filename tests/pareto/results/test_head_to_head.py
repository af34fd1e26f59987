"""Two studies of one problem against each other."""

from pathlib import Path
from typing import Any

import pytest

from pareto.results.head_to_head import compare_fronts
from pareto.results.indicators import TA_TOLERANCE
from pareto.study import Study
from tests.pareto.recorded import RUN, Values, record, reference
from unlearn.errors import InputError

# On the front are the first two, and of the others the first and the third.
ONE: list[Values | None] = [(90, 0.8, 20), None, (70, 0.6, 10), (60, 0.5, 15)]
OTHER: list[Values | None] = [(80, 0.7, 30), (75, 0.6, 50), (89.5, 0.4, 40), (88, 0.3, 45)]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"journal:///{tmp_path}/studies.journal"


def pair(url: str, seconds: float = 100.0, **changes: Any) -> tuple[Study, Study]:
    """Two studies; changes are to the other."""
    one = record(url, "one", ONE, "conmu", notes={"reference": reference(100.0)})
    notes = {"reference": reference(seconds), **changes.pop("notes", {})}
    return one, record(url, "other", OTHER, notes=notes, **changes)


def test_both_sides_are_counted_and_covered(url: str) -> None:
    one, other = compare_fronts(*pair(url)).sides
    assert (one.study, one.method, one.complete, one.front) == ("one", "conmu", 3, 2)
    assert (other.study, other.method, other.complete, other.front) == ("other", "ft", 4, 2)
    assert (one.ceiling, one.retrain_rte) == (0.9, 100)
    assert (one.dominated, other.dominated) == (0, 1)


@pytest.mark.parametrize("seconds", [50.0, 200.0])
def test_hypervolumes_are_of_the_larger_box_for_both(url: str, seconds: float) -> None:
    compared = compare_fronts(*pair(url, seconds))
    one, other = compared.sides
    box = max(100.0, seconds)
    assert compared.box_rte == box
    # Each a box of its own and what the second adds.
    assert one.hypervolume_share == pytest.approx(
        (90 * 0.8 * (box - 20) + 70 * 0.6 * 10) / (100 * box)
    )
    assert other.hypervolume_share == pytest.approx(
        (80 * 0.7 * (box - 30) + 9.5 * 0.4 * (box - 40)) / (100 * box)
    )


def test_at_equal_budgets_the_first_trials_of_the_larger_study_count(url: str) -> None:
    other = record(url, "other", OTHER[::-1], notes={"reference": reference(100.0)})
    one = record(url, "one", ONE[:3], "conmu", notes={"reference": reference(100.0)})
    compared = compare_fronts(one, other)
    assert compared.budget == 2
    small, large = compared.sides
    assert small.hypervolume_share_at_budget == small.hypervolume_share
    # (88, .3, 45) is dominated by (89.5, .4, 40).
    assert large.hypervolume_share_at_budget == pytest.approx(89.5 * 0.4 * 60 / 10_000)
    assert large.hypervolume_share_at_budget < large.hypervolume_share


def test_the_best_are_sought_where_ta_is_good_enough_in_both(url: str) -> None:
    compared = compare_fronts(*pair(url))
    assert compared.enough_ta == 89.5 - TA_TOLERANCE
    one, other = compared.sides
    assert (one.best_frm.number, one.lowest_rte.number) == (0, 0)
    assert (other.best_frm.number, other.lowest_rte.number) == (2, 2)


def test_numbers_of_trials_are_theirs_where_others_failed(url: str) -> None:
    one = record(url, "one", [None, (80, 0.5, 2), None, (80, 0.6, 3)])
    other = record(url, "other", [(80, 0.5, 2)])
    side, _ = compare_fronts(one, other).sides
    assert (side.best_frm.number, side.lowest_rte.number) == (3, 1)


def test_turned_round_the_sides_change_places(url: str) -> None:
    one, other = pair(url)
    assert compare_fronts(other, one).sides == compare_fronts(one, other).sides[::-1]


def test_equal_conditions_have_no_caveats(url: str) -> None:
    one = record(url, "one", [(80, 0.5, 2)], notes={"reference": reference(100.0)})
    other = record(url, "other", [(70, 0.5, 2)], notes={"reference": reference(100.0)})
    assert compare_fronts(one, other).caveats == ()


ELSEWHERE = {"host": "b", "device": "cuda:0 (H200)"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["Budgets differ", "3 and 4", "first 3", "favour other"]),
        ({"run": {**RUN, **ELSEWHERE}}, ["on cpu (x86_64) of a", "on cuda:0 (H200) of b"]),
        ({"notes": {"calibrated_on": ELSEWHERE}}, ["RTE tells devices apart", "of b"]),
        ({"notes": {"reference": reference(100.0, ta=91)}}, ["other retrained models"]),
    ],
)
def test_what_makes_it_unfair_is_said(url: str, changes: dict[str, Any], words: list[str]) -> None:
    caveats = compare_fronts(*pair(url, **changes)).caveats
    assert len(caveats) == 1 + bool(changes)
    assert all(word in caveats[-1] for word in words)


def test_method_and_space_may_differ(url: str) -> None:
    compare_fronts(*pair(url, identity={"method.epochs": 3, "space.delta": "IntRange(0, 2)"}))


PROBLEM = {"data.name": "cifar10", "request.fraction": 0.5, "model": "vgg16", "seed": 8}


@pytest.mark.parametrize("field", PROBLEM)
def test_another_problem_is_refused_by_the_field_that_differs(url: str, field: str) -> None:
    one, other = pair(url, identity={field: PROBLEM[field], "data.sha256": "ab"})
    for studies in ((one, other), (other, one)):
        with pytest.raises(InputError) as caught:
            compare_fronts(*studies)
        assert field in caught.value.problem
        assert str(PROBLEM[field]) in caught.value.problem
        assert "sha256" not in caught.value.problem


def test_other_data_of_the_same_name_are_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"data\.sha256 is None and ab"):
        compare_fronts(*pair(url, identity={"data.sha256": "ab"}))


def test_a_study_against_itself_is_refused(url: str) -> None:
    one, _ = pair(url)
    with pytest.raises(InputError, match="'one' is the study itself"):
        compare_fronts(one, one)


def test_a_study_without_a_complete_trial_is_refused(url: str) -> None:
    one, _ = pair(url)
    empty = record(url, "empty", [None])
    for studies in ((one, empty), (empty, one)):
        with pytest.raises(InputError, match="'empty' has no complete trial"):
            compare_fronts(*studies)
