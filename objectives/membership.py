"""Membership inference: does the model still treat the forgotten samples as its own?

Both predictors learn, from the confidence that θ_u gives to the true label, to tell samples it was
trained on (members, from D_r) from samples it never saw (non-members, from the test data). D_f is
then shown to the predictor. MIA-efficacy is the share of D_f taken for non-members.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.typing import NDArray

Confidences = NDArray[np.float64]
Attack = Callable[[Confidences, Confidences], Callable[[Confidences], NDArray[np.bool_]]]
"""(members, non-members) -> a predictor of membership."""

SVC_DEGREE = 24

TELLING = 55.0
"""The balanced accuracy, in percent, below which an attack tells nothing worth knowing."""

BY_LUCK = 0.05
"""How often an attack that guesses may seem to tell something."""


def best_threshold(members: Confidences, nonmembers: Confidences) -> float:
    """The cut t for which "confidence >= t means member" has the highest balanced accuracy.

    Exact: every cut that separates two observed values is tried, and those beyond either end. Of
    equally good cuts the lowest is taken; a cut lies midway between its two neighbours.

    Args:
        members, nonmembers: confidences in [0, 1], one dimension, at least one each.
    """
    values = np.unique(np.concatenate([members, nonmembers]))
    # At cut k, all values from position k on are called members.
    caught = 1 - np.searchsorted(np.sort(members), values, side="left") / len(members)
    cleared = np.searchsorted(np.sort(nonmembers), values, side="left") / len(nonmembers)
    balanced = np.append((caught + cleared) / 2, 0.5)  # last: nothing is called a member
    best = int(np.flatnonzero(balanced >= balanced.max() - 1e-12)[0])
    if best == 0:
        return float("-inf")
    if best == len(values):
        return float("inf")
    below, above = float(values[best - 1]), float(values[best])
    midway = (below + above) / 2
    return midway if midway > below else above  # neighbours may have no number between them


def threshold_attack(
    members: Confidences, nonmembers: Confidences
) -> Callable[[Confidences], NDArray[np.bool_]]:
    """A predictor with one cut, the exact best by balanced accuracy."""
    cut = best_threshold(members, nonmembers)
    return lambda confidences: confidences >= cut


def svc_attack(
    members: Confidences, nonmembers: Confidences
) -> Callable[[Confidences], NDArray[np.bool_]]:
    """An RBF support-vector classifier with C = 10 and gamma "auto", the authors' choice.

    Its decision function is a sum of bells as wide as [0, 1], one for each of many support
    vectors. There it equals its `SVC_DEGREE`-th interpolation polynomial but for rounding.
    """
    from sklearn.svm import SVC

    features = np.concatenate([members, nonmembers])[:, None]
    labels = np.concatenate([np.ones(len(members)), np.zeros(len(nonmembers))])
    classifier = SVC(C=10, gamma="auto", kernel="rbf").fit(features, labels)
    decision = Chebyshev.interpolate(
        lambda points: classifier.decision_function(points[:, None]), SVC_DEGREE, domain=(0, 1)
    )
    return lambda confidences: decision(confidences) >= 0


ATTACKS: dict[str, Attack] = {"threshold": threshold_attack, "svc": svc_attack}


def least_telling(samples: float | None) -> float:
    """The balanced accuracy, in percent, that an attack has to reach to tell something: `TELLING`,
    or what luck seldom gives to a cut that is fitted to so few samples.

    Where members and non-members are alike, the best cut has a balanced accuracy of (1 + D) / 2, of
    which D is the one-sided Kolmogorov-Smirnov statistic: with n of both, D > √(ln(1 / p) / n) has
    the probability p (Smirnov 1939, for many).

    Args:
        samples: how many members the attack was fitted on, and as many non-members; None if nobody
            knows.
    """
    if samples is None:
        return TELLING
    return max(TELLING, 50.0 + 50.0 * math.sqrt(math.log(1 / BY_LUCK) / samples))


def weakness(accuracy: float, samples: float | None) -> str | None:
    """Why the figures of an attack say little, in words; None if they say something.

    Args:
        accuracy: its balanced accuracy, in percent; see `MembershipInference`.
        samples: as for `least_telling`.
    """
    least = least_telling(samples)
    if accuracy >= least:
        return None
    if samples is not None and least >= 100.0:
        return f"it was fitted on {samples:.0f} of each, from which nothing can be told"
    return (
        f"its balanced accuracy is {accuracy:.1f} %, where guessing has 50 %; under {least:.1f} %"
        " its figures say little"
    )


class MembershipInference(NamedTuple):
    """What came of an attack, in percent.

    Attributes:
        efficacy: MIA-efficacy, 100 · TN / |D_f|: the share of D_f taken for non-members.
        accuracy: balanced accuracy on the members and non-members that the predictor was fitted on;
            50 is guessing, and below `least_telling` the efficacy goes with the draw of these
            samples more than with the model.
    """

    efficacy: float
    accuracy: float


def infer_membership(
    attack: str, members: Confidences, nonmembers: Confidences, forgotten: Confidences
) -> MembershipInference:
    """Fit a predictor of membership, and show it D_f.

    Args:
        attack: a key of `ATTACKS`.
        members, nonmembers: confidences that fit the predictor.
        forgotten: confidences on D_f, at least one.
    """
    is_member = ATTACKS[attack](members, nonmembers)
    caught, cleared = np.mean(is_member(members)), np.mean(~is_member(nonmembers))
    return MembershipInference(
        efficacy=100.0 * float(np.mean(~is_member(forgotten))),
        accuracy=50.0 * float(caught + cleared),
    )
