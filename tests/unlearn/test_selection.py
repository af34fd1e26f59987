"""Important data selection."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from unlearn.datasets import Samples
from unlearn.problem import Problem
from unlearn.selection import bound_that_keeps, el2n, within_bounds

scores = st.lists(st.floats(0, 1.375, width=32), min_size=1, max_size=60)
bounds = st.floats(0, 3)


def as_logits(logits: Sequence[Sequence[float]], labels: Sequence[int]) -> Samples:
    """Images that `nn.Flatten` answers with these logits."""
    return Samples(torch.tensor(logits)[:, :, None, None], torch.tensor(labels))


@given(
    st.lists(st.lists(st.floats(-30, 30, width=32), min_size=4, max_size=4), min_size=1),
    st.data(),
)
def test_the_score_is_the_distance_of_the_answer_from_the_label(
    logits: list[list[float]], data: st.DataObject
) -> None:
    count = len(logits)
    labels = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    powers = np.exp(np.array(logits) - np.max(logits, axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    expected = np.linalg.norm(probabilities - np.eye(4)[labels], axis=1)
    actual = el2n(nn.Flatten(), as_logits(logits, labels))
    np.testing.assert_allclose(actual.numpy(), expected, atol=1e-5)


def test_scores_lie_between_0_and_the_root_of_2() -> None:
    samples = as_logits([[90.0, 0.0], [0.0, 90.0], [0.0, 0.0]], [0, 0, 0])
    expected = torch.tensor([0.0, math.sqrt(2), math.sqrt(0.5)])
    torch.testing.assert_close(el2n(nn.Flatten(), samples), expected)


def test_a_score_stays_attached_to_its_sample(problem: Problem) -> None:
    order = torch.randperm(len(problem.retain), generator=torch.Generator().manual_seed(0))
    shuffled = el2n(problem.original, problem.retain.take(order))
    straight = el2n(problem.original, problem.retain)
    torch.testing.assert_close(shuffled, straight[order])


def test_scores_do_not_depend_on_the_mode_of_the_model(problem: Problem) -> None:
    model = problem.build(0, problem.device)
    evaluating = el2n(model.eval(), problem.forget)
    training = el2n(model.train(), problem.forget)
    assert torch.equal(evaluating, training)


def numpy_interval(values: list[float], low: float, high: float) -> tuple[float, float]:
    exact = np.array(values, np.float64)
    return float(exact.mean() - low * exact.std()), float(exact.mean() + high * exact.std())


@given(scores, bounds, bounds)
def test_the_same_scores_stay_as_in_numpy(values: list[float], low: float, high: float) -> None:
    bottom, top = numpy_interval(values, low, high)
    # A score that lies on a bound but for the rounding may fall to either side.
    assume(all(abs(value - edge) > 1e-12 for value in values for edge in (bottom, top)))
    expected = [bottom <= value <= top for value in values]
    assert within_bounds(torch.tensor(values), low, high).tolist() == expected


@given(scores, bounds, bounds, bounds, bounds)
def test_wider_bounds_keep_all_that_narrower_ones_keep(
    values: list[float], low: float, high: float, more_low: float, more_high: float
) -> None:
    narrow = within_bounds(torch.tensor(values), low, high)
    wide = within_bounds(torch.tensor(values), low + more_low, high + more_high)
    assert bool((wide | ~narrow).all())


@given(st.floats(0, 1.375, width=32), st.integers(1, 3000), bounds, bounds)
def test_equal_scores_all_stay(value: float, count: int, low: float, high: float) -> None:
    assert bool(within_bounds(torch.full((count,), value), low, high).all())


@pytest.mark.parametrize(
    ("low", "high", "kept"),
    [
        (1.0, 1.0, [True, True]),
        (1.0, 1 - 1e-9, [True, False]),  # single precision would not tell
        (1 - 1e-9, 1.0, [False, True]),
        (0.0, 0.0, [False, False]),
    ],
)
def test_a_score_exactly_on_a_bound_stays(low: float, high: float, kept: list[bool]) -> None:
    # Mean 1/2 and population standard deviation 1/2 put the bounds exactly on 0 and on 1.
    assert within_bounds(torch.tensor([0.0, 1.0]), low, high).tolist() == kept


def test_the_bounds_are_not_symmetric() -> None:
    values = torch.tensor([0.0, 0.4, 0.5, 0.6, 1.0])
    below_only = within_bounds(values, 10.0, 0.0)
    above_only = within_bounds(values, 0.0, 10.0)
    middle = values == values.median()
    assert torch.equal(below_only & ~middle, torch.tensor([True, True, False, False, False]))
    assert torch.equal(above_only & ~middle, torch.tensor([False, False, False, True, True]))


def test_about_68_percent_of_normal_scores_lie_within_one_deviation() -> None:
    values = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    share: Tensor = within_bounds(values, 1.0, 1.0).double().mean()
    assert share == pytest.approx(0.6827, abs=0.015)


# --- the bounds that keep a share


def distances(values: list[float]) -> NDArray[np.float64]:
    """From the mean, in standard deviations, in ascending order."""
    exact = np.array(values, np.float64)
    sorted_distances: NDArray[np.float64] = np.sort(np.abs(exact - exact.mean())) / exact.std()
    return sorted_distances


@given(scores, st.floats(0, 1))
def test_a_bound_keeps_the_share_that_is_asked_for(values: list[float], share: float) -> None:
    tensor, count = torch.tensor(values), round(share * len(values))
    assume(np.std(np.array(values, np.float64)) > 1e-6)
    # Samples that are equally far from the mean, but for the rounding, cannot be told apart.
    steps = np.diff(np.concatenate([[0.0], distances(values), [np.inf]]))
    assume(steps[count] > 1e-6)
    bound = bound_that_keeps(tensor, share)
    assert bound >= 0
    assert int(within_bounds(tensor, bound, bound).sum()) == count


@given(scores, st.floats(0, 1))
def test_the_samples_that_a_bound_keeps_are_those_nearest_to_the_mean(
    values: list[float], share: float
) -> None:
    tensor = torch.tensor(values)
    bound = bound_that_keeps(tensor, share)
    kept = within_bounds(tensor, bound, bound).numpy()
    exact = np.array(values, np.float64)
    far = np.abs(exact - exact.mean())
    if kept.any() and not kept.all():
        assert far[kept].max() <= far[~kept].min() + 1e-9


@given(scores, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_has_a_bound_that_is_not_smaller(
    values: list[float], one: float, other: float
) -> None:
    tensor = torch.tensor(values)
    low, high = (bound_that_keeps(tensor, share) for share in sorted((one, other)))
    assert low <= high


@given(st.floats(0, 1.375, width=32), st.integers(1, 500), st.floats(0, 1))
def test_of_equal_scores_all_are_kept(value: float, count: int, share: float) -> None:
    tensor = torch.full((count,), value)
    bound = bound_that_keeps(tensor, share)
    assert bool(within_bounds(tensor, bound, bound).all())


def test_of_scores_that_tie_all_or_none_are_kept() -> None:
    values = torch.tensor([0.0, 0.25, 0.25, 0.25, 0.25, 1.25, 1.25])
    for share in np.linspace(0, 1, 15):
        bound = bound_that_keeps(values, float(share))
        kept = within_bounds(values, bound, bound)
        assert len(set(kept[1:5].tolist())) == len(set(kept[5:].tolist())) == 1
