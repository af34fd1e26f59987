"""Membership inference."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import recall_score, roc_curve
from sklearn.svm import SVC

from objectives.membership import (
    ATTACKS,
    BY_LUCK,
    TELLING,
    best_threshold,
    infer_membership,
    least_telling,
    threshold_attack,
)

Values = list[float]
# Of few values, so that ties are frequent; and of any.
confidences = st.lists(
    st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]) | st.floats(0, 1), min_size=1, max_size=30
)


def balanced_accuracy(cut: float, members: Values, nonmembers: Values) -> float:
    caught = sum(value >= cut for value in members) / len(members)
    cleared = sum(value < cut for value in nonmembers) / len(nonmembers)
    return (caught + cleared) / 2


def every_cut(members: Values, nonmembers: Values) -> Values:
    """A cut for every way of calling the highest values members: none of them, …, all."""
    return [-math.inf, *sorted({*members, *nonmembers}), math.inf]


def cut_between(members: Values, nonmembers: Values) -> float:
    return best_threshold(np.array(members), np.array(nonmembers))


@given(confidences, confidences)
def test_no_cut_is_better(members: Values, nonmembers: Values) -> None:
    ours = balanced_accuracy(cut_between(members, nonmembers), members, nonmembers)
    best = max(balanced_accuracy(c, members, nonmembers) for c in every_cut(members, nonmembers))
    assert ours == pytest.approx(best, abs=1e-12)


@given(confidences, confidences)
def test_the_balanced_accuracy_is_that_of_the_roc_curve(
    members: Values, nonmembers: Values
) -> None:
    labels = [1] * len(members) + [0] * len(nonmembers)
    false_positives, true_positives, _ = roc_curve(
        labels, members + nonmembers, drop_intermediate=False
    )
    youden = max(true_positives - false_positives)
    cut = cut_between(members, nonmembers)
    assert 2 * balanced_accuracy(cut, members, nonmembers) - 1 == pytest.approx(youden, abs=1e-12)


@given(confidences, confidences)
def test_of_equally_good_cuts_the_lowest_is_taken(members: Values, nonmembers: Values) -> None:
    cut = cut_between(members, nonmembers)
    best = balanced_accuracy(cut, members, nonmembers)
    for other in every_cut(members, nonmembers):
        if any(other <= value < cut for value in members + nonmembers):
            assert balanced_accuracy(other, members, nonmembers) < best - 1e-13


@pytest.mark.parametrize(
    ("members", "nonmembers", "cut"),
    [
        ([0.8, 0.9], [0.1, 0.4], 0.6),
        ([0.5, 0.9], [0.1, 0.5], 0.3),
        ([0.5], [0.5], -math.inf),
        ([0.2, 0.3], [0.7, 0.8], -math.inf),
        ([0.3, 0.6, 0.9], [0.3, 0.6, 0.9], -math.inf),
    ],
)
def test_a_cut_lies_midway_between_its_neighbours(
    members: Values, nonmembers: Values, cut: float
) -> None:
    assert cut_between(members, nonmembers) == pytest.approx(cut)


@pytest.mark.parametrize("low", [0.0, 1e-320, 0.1, 0.5, 1 - 3 * 2**-53, 1 - 2**-52, 1 - 2**-53])
def test_neighbouring_numbers_are_separated(low: float) -> None:
    high = math.nextafter(low, 2)
    assert low < cut_between([high], [low]) <= high


@given(confidences, confidences, confidences)
def test_the_threshold_attack_calls_members_what_reaches_the_cut(
    members: Values, nonmembers: Values, shown: Values
) -> None:
    attack = threshold_attack(np.array(members), np.array(nonmembers))
    cut = cut_between(members, nonmembers)
    assert attack(np.array(shown)).tolist() == [value >= cut for value in shown]


@pytest.mark.parametrize(
    ("forgotten", "percent"),
    [([0.9, 0.8, 0.7], 0.0), ([0.9, 0.2, 0.1, 0.05], 75.0), ([0.0], 100.0), ([0.5, 0.4], 50.0)],
)
def test_the_efficacy_is_the_share_taken_for_non_members(forgotten: Values, percent: float) -> None:
    # The cut is 0.5, and what lies on it is a member.
    members, nonmembers = np.array([0.75, 1.0]), np.array([0.0, 0.25])
    inference = infer_membership("threshold", members, nonmembers, np.array(forgotten))
    assert inference.efficacy == pytest.approx(percent)


def random_confidences(
    members: int, nonmembers: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = np.random.default_rng(0)
    return random.beta(5, 1, members), random.beta(2, 1, nonmembers)


def test_svc_is_an_rbf_classifier_with_c_10_and_gamma_1() -> None:
    # Gamma "auto" is one over the number of features, of which there is one.
    members, nonmembers = random_confidences(80, 60)
    shown = np.linspace(0, 1, 201)
    features = np.concatenate([members, nonmembers]).reshape(-1, 1)
    labels = ["member"] * 80 + ["other"] * 60
    classifier = SVC(C=10, kernel="rbf", gamma=1.0).fit(features, labels)
    expected = classifier.predict(shown.reshape(-1, 1)) == "member"
    predicted = ATTACKS["svc"](members, nonmembers)(shown)
    assert 0 < expected.sum() < 201
    assert np.array_equal(predicted, expected)


@pytest.mark.parametrize("seed", range(20))
def test_svc_decides_as_scikit_learn_does_for_every_confidence(seed: int) -> None:
    # Of all shapes and sizes, with many confidences near 1, as a model that memorises gives them.
    random = np.random.default_rng(seed)
    members, nonmembers = (
        random.beta(random.uniform(0.05, 9), random.uniform(0.05, 9), size)
        for size in random.integers(5, 600, 2).tolist()
    )
    shown = np.concatenate([np.linspace(0, 1, 2001), members, nonmembers])
    features = np.concatenate([members, nonmembers])[:, None]
    labels = np.repeat([1, 0], [len(members), len(nonmembers)])
    classifier = SVC(C=10, kernel="rbf", gamma="auto").fit(features, labels)
    certain = np.abs(classifier.decision_function(shown[:, None])) > 1e-9
    assert certain.mean() > 0.99
    predicted = ATTACKS["svc"](members, nonmembers)(shown)
    assert np.array_equal(predicted[certain], classifier.predict(shown[certain, None]) == 1)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_tells_well_separated_groups_apart(attack: str) -> None:
    members, nonmembers = np.linspace(0.8, 1, 50), np.linspace(0, 0.2, 50)
    assert infer_membership(attack, members, nonmembers, members) == (0, 100)
    assert infer_membership(attack, members, nonmembers, nonmembers) == (100, 100)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_order_of_the_samples_is_no_matter(attack: str) -> None:
    members, nonmembers = random_confidences(60, 60)
    shown = np.linspace(0, 1, 101)
    straight = infer_membership(attack, members, nonmembers, shown)
    assert infer_membership(attack, members[::-1], nonmembers[::-1], shown[::-1]) == straight


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
)
def test_the_accuracy_is_the_mean_of_scikit_learns_recalls(
    members: Values, nonmembers: Values
) -> None:
    for attack in ATTACKS:
        truth = [1] * len(members) + [0] * len(nonmembers)
        taken = ATTACKS[attack](np.array(members), np.array(nonmembers))(
            np.array([*members, *nonmembers])
        )
        found = infer_membership(attack, np.array(members), np.array(nonmembers), np.array([0.5]))
        assert found.accuracy == pytest.approx(100 * recall_score(truth, taken, average="macro"))


@pytest.mark.parametrize("samples", [40, 100, 250])
def test_an_attack_that_can_only_guess_seldom_seems_to_tell_something(samples: int) -> None:
    random, draws = np.random.default_rng(samples), 2000
    telling = 0
    for _ in range(draws):
        members, nonmembers = random.random((2, samples))
        accuracy = infer_membership("threshold", members, nonmembers, members).accuracy
        telling += accuracy > least_telling(samples)
    assert 0.4 * BY_LUCK < telling / draws < 1.2 * BY_LUCK


def test_of_many_samples_even_what_is_no_luck_tells_too_little() -> None:
    assert least_telling(10**6) == least_telling(None) == TELLING
