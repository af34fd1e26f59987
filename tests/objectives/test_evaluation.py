"""One pass over the data."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from torch import nn

from objectives.evaluation import (
    ENOUGH_OF_CLASS,
    Evaluation,
    EvaluationSets,
    evaluate,
    split_test,
)
from objectives.membership import best_threshold
from unlearn.datasets import Samples
from unlearn.errors import InputError

CLASSES = 4
MODEL = nn.Flatten()  # the images of these tests are the logits of the model


def samples(count: int, seed: int, confidence: float = 1.0) -> Samples:
    """Images that `MODEL` answers with random logits, in favour of the label."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    logits = torch.randn(count, CLASSES, generator=generator)
    logits[torch.arange(count), labels] += confidence
    return Samples(logits[:, :, None, None], labels)


def sets(
    *, forgotten_class: int | None = None, without: Sequence[int] = (), seed: int = 0
) -> EvaluationSets:
    """
    Args:
        without: classes of which no sample is retained.
    """
    retain = samples(300, seed=1, confidence=2.0)
    retain = retain.take(~torch.isin(retain.labels, torch.tensor(without)))
    return EvaluationSets.build(
        samples(60, seed=0),
        retain,
        samples(100, seed=2),
        forgotten_class=forgotten_class,
        seed=seed,
    )


def accuracy(each: Samples, without: Sequence[int] = ()) -> float:
    """In percent, sample by sample."""
    hits = total = 0
    for image, label in zip(each.images.flatten(1).tolist(), each.labels.tolist(), strict=True):
        if label not in without:
            total += 1
            hits += image.index(max(image)) == label
    return 100 * hits / total


def test_accuracies_are_counted_sample_by_sample() -> None:
    data = sets()
    result = evaluate(MODEL, data, "threshold")
    assert result.ta == pytest.approx(accuracy(data.test))
    assert result.fa == pytest.approx(accuracy(data.forget))
    assert result.ra == pytest.approx(accuracy(data.retain))
    assert len({result.ta, result.fa, result.ra, 0.0, 100.0}) == 5


def test_mia_compares_the_confidences_in_the_true_labels() -> None:
    data = sets()

    def confidences(each: Samples) -> list[float]:
        probabilities = softmax(each.images.flatten(1).double().numpy(), axis=1)
        return [float(row[label]) for row, label in zip(probabilities, each.labels, strict=True)]

    members = np.array(confidences(data.retain))[data.members]
    nonmembers = np.array(confidences(data.test))[data.nonmembers]
    cut = best_threshold(members, nonmembers)
    missed = sum(value < cut for value in confidences(data.forget))
    assert 0 < missed < 60
    assert evaluate(MODEL, data, "threshold").mia == pytest.approx(100 * missed / 60)


def test_confidences_that_single_precision_rounds_to_1_are_told_apart() -> None:
    def certain(margin: float) -> Samples:
        logits = torch.tensor([[margin, 0.0]]).repeat(40, 1)
        return Samples(logits[:, :, None, None], torch.zeros(40, dtype=torch.int64))

    data = EvaluationSets.build(
        certain(25.0),
        certain(30.0),
        certain(20.0),
        forgotten_class=None,
        seed=0,
    )
    mia = evaluate(MODEL, replace(data, forget=certain(20.0)), "threshold").mia
    assert mia == 100
    assert evaluate(MODEL, replace(data, forget=certain(30.0)), "threshold").mia == 0


def test_without_a_class_there_is_one_test_accuracy() -> None:
    result = evaluate(MODEL, sets(), "threshold")
    assert result.ta_all_classes is None
    assert result.ta_other_classes is None
    assert result.as_dict().keys() == {"ta", "fa", "ra", "mia", "attack_accuracy", "attack_samples"}


@pytest.mark.parametrize(
    ("forgotten_class", "without", "others"),
    [
        (2, (), (2,)),
        (2, (2,), (2,)),
        (None, (2,), (2,)),  # the request lists all of its samples
        (None, (0, 2), (0, 2)),
        (2, (0,), (0, 2)),  # an earlier request took the other
    ],
)
def test_a_forgotten_class_counts_in_ta_unless_all_of_it_is_forgotten(
    forgotten_class: int | None, without: tuple[int, ...], others: tuple[int, ...]
) -> None:
    data = sets(forgotten_class=forgotten_class, without=without)
    result = evaluate(MODEL, data, "threshold")
    figures = [accuracy(data.test, classes) for classes in (without, (), others)]
    assert [result.ta, result.ta_all_classes, result.ta_other_classes] == pytest.approx(figures)
    assert figures[1] != figures[2]


@pytest.mark.parametrize("forgotten_class", [2, None])
def test_test_data_without_another_class_than_the_forgotten_one(
    forgotten_class: int | None,
) -> None:
    few = samples(8, seed=3)
    few = few.take(few.labels == 2)
    retain = samples(40, 1)
    build = partial(EvaluationSets.build, test=few, seed=0)
    result = evaluate(MODEL, build(few, retain, forgotten_class=2), "threshold")
    assert result.ta == result.ta_all_classes == pytest.approx(accuracy(few))
    assert result.ta_other_classes is None
    with pytest.raises(InputError, match="no class but the forgotten one"):
        build(few, retain.take(retain.labels != 2), forgotten_class=forgotten_class)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", ["forget", "retain", "test"])
def test_answers_that_are_not_finite_are_an_error(value: float, part: str) -> None:
    data = sets()
    broken: Samples = getattr(data, part)
    images = broken.images.clone()
    images[17, 1] = value
    change: dict[str, Any] = {part: Samples(images, broken.labels)}
    with pytest.raises(FloatingPointError, match="not finite"):
        evaluate(MODEL, replace(data, **change), "threshold")


def test_the_figures_that_frm_compares() -> None:
    metrics = Evaluation(ta=1.0, fa=2.0, ra=3.0, mia=4.0).metrics
    assert (metrics.fa, metrics.ra, metrics.mia) == (2.0, 3.0, 4.0)


def labelled(counts: list[int]) -> Samples:
    """So many samples of each class, in order."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return Samples(torch.zeros(len(labels), 1, 1, 1), labels)


def attack_sets(
    retain: Samples, test: Samples, forgotten_class: int | None = None, seed: int = 0
) -> EvaluationSets:
    return EvaluationSets.build(retain, retain, test, forgotten_class=forgotten_class, seed=seed)


@pytest.mark.parametrize(("retain", "test"), [(200, 70), (70, 200), (50, 50)])
def test_members_and_nonmembers_are_equally_many_and_distinct(retain: int, test: int) -> None:
    data = attack_sets(labelled([retain]), labelled([test]))
    for positions, size in ((data.members, retain), (data.nonmembers, test)):
        assert len(set(positions.tolist())) == len(positions) == min(retain, test)
        assert set(positions.tolist()) <= set(range(size))


@pytest.mark.parametrize("forgotten_class", [0, 1])
def test_where_there_are_enough_both_are_of_the_forgotten_class(forgotten_class: int) -> None:
    retain = labelled([ENOUGH_OF_CLASS, 200])
    test = labelled([ENOUGH_OF_CLASS + 5, ENOUGH_OF_CLASS])
    data = attack_sets(retain, test, forgotten_class)
    assert (retain.labels[data.members] == forgotten_class).all()
    assert (test.labels[data.nonmembers] == forgotten_class).all()
    assert len(data.members) == len(data.nonmembers) == ENOUGH_OF_CLASS


@pytest.mark.parametrize(
    ("retain", "test"),
    [
        ([ENOUGH_OF_CLASS - 1, 200], [ENOUGH_OF_CLASS, 60]),
        ([ENOUGH_OF_CLASS, 200], [ENOUGH_OF_CLASS - 1, 60]),
        ([0, 200], [ENOUGH_OF_CLASS, 60]),
    ],
)
def test_where_there_are_too_few_both_are_of_all_classes(
    retain: list[int], test: list[int]
) -> None:
    data = attack_sets(labelled(retain), labelled(test), forgotten_class=0)
    assert len(data.members) == len(data.nonmembers) == sum(test)
    assert (labelled(retain).labels[data.members] == 1).any()


def test_fresh_members_are_others_as_far_as_there_are_enough() -> None:
    for retain, shared in ((100, 0), (50, 10), (30, 30)):
        draws = [
            EvaluationSets.build(
                labelled([9]),
                labelled([retain]),
                labelled([30]),
                forgotten_class=None,
                seed=5,
                fresh_members=fresh,
            )
            for fresh in (False, True)
        ]
        assert len(np.intersect1d(draws[0].members, draws[1].members)) == shared
        assert len(draws[1].members) == 30
        assert torch.equal(draws[0].nonmembers, draws[1].nonmembers)


def test_the_seed_decides_the_members() -> None:
    first, again, other = (attack_sets(labelled([200]), labelled([70]), seed=s) for s in (0, 0, 1))
    assert torch.equal(first.members, again.members)
    assert not torch.equal(first.members, other.members)


@given(st.lists(st.integers(0, 3), max_size=80), st.integers(0, 99))
def test_the_test_halves_are_disjoint_and_complete(labels: list[int], seed: int) -> None:
    halves = split_test(torch.tensor(labels, dtype=torch.int64), seed)
    search, report = halves.search.tolist(), halves.report.tolist()
    assert sorted(search + report) == list(range(len(labels)))
    assert len(search) == len(labels) // 2


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.integers(0, 99))
def test_the_test_halves_are_stratified(labels: list[int], seed: int) -> None:
    halves = split_test(torch.tensor(labels), seed)
    counts = Counter(labels)
    for half in halves:
        kept = Counter(labels[position] for position in half.tolist())
        for label, count in counts.items():
            assert abs(kept[label] - count * len(half) / len(labels)) < 1


def test_the_seed_decides_the_test_halves() -> None:
    labels = torch.arange(40) % 4
    first, again, other = (split_test(labels, seed).search for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
