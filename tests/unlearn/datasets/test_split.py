"""Stratified draws."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from unlearn.datasets import stratified_subset


@st.composite
def labels_and_size(draw: st.DrawFn) -> tuple[Tensor, int]:
    labels = draw(st.lists(st.integers(0, 6), max_size=80))
    return torch.tensor(labels, dtype=torch.int64), draw(st.integers(0, len(labels)))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(labels_and_size(), st.integers(0, 99))
def test_draws_distinct_ascending_positions(case: tuple[Tensor, int], seed: int) -> None:
    labels, size = case
    drawn = stratified_subset(labels, size, seeded(seed)).tolist()
    assert drawn == sorted(set(drawn))
    assert len(drawn) == size
    assert all(0 <= position < len(labels) for position in drawn)


@given(labels_and_size(), st.integers(0, 99))
def test_every_class_keeps_its_share_up_to_one_sample(case: tuple[Tensor, int], seed: int) -> None:
    labels, size = case
    kept = labels[stratified_subset(labels, size, seeded(seed))].tolist()
    everything = labels.tolist()
    for label in set(everything):
        share = everything.count(label) * size / len(everything)
        assert abs(kept.count(label) - share) < 1


def test_every_sample_is_drawn_about_equally_often() -> None:
    labels = torch.tensor([0, 1] * 10)
    times = torch.zeros(20)
    for seed in range(400):
        times[stratified_subset(labels, 10, seeded(seed))] += 1
    # Binomial(400, 1/2): mean 200, standard deviation 10.
    assert (times - 200).abs().max() < 50


def test_equal_generators_draw_equal_subsets() -> None:
    labels = torch.arange(40) % 4
    assert torch.equal(
        stratified_subset(labels, 12, seeded(5)), stratified_subset(labels, 12, seeded(5))
    )


@pytest.mark.parametrize("size", [-1, 4])
def test_refuses_a_size_that_cannot_be_drawn(size: int) -> None:
    with pytest.raises(ValueError, match=f"cannot draw {size} of 3"):
        stratified_subset(torch.tensor([0, 1, 1]), size, seeded(0))
