"""What is said of a request that was carried out: neither too little nor too much."""

from typing import Any

import pytest

from pareto.application.plain_words import ExpectedAccuracy, plain_words
from pareto.preparation.earlier import Earlier

BEFORE = {"ta": 81.25, "fa": 92.5, "ra": 93.75, "mia": 12.5}
AFTER = {"ta": 80.125, "fa": 78.5, "ra": 91.0, "mia": 25.0}
DATA = "d" * 64
VALIDATED = ExpectedAccuracy(80.0, 0.5, validated=True)
FOUND = ExpectedAccuracy(80.0, None, validated=False)


def words(
    attack_accuracy: float = 68.0, attack_samples: int = 1000, **changes: Any
) -> tuple[str, str]:
    circumstances = {"retrained": False, "given": True, "expected": VALIDATED, "changed": False}
    circumstances["test_samples"] = 1600
    request = {"earlier": Earlier(), "forgotten": 3, "selected": 3}
    before = {**BEFORE, "attack_accuracy": attack_accuracy, "attack_samples": attack_samples}
    before |= changes.pop("before", {})
    told = plain_words(
        before, AFTER | changes.pop("after", {}), **{**circumstances, **request, **changes}
    )
    return "\n".join(told["shows"]), "\n".join(told["does_not_show"])


def test_every_figure_is_told_in_words() -> None:
    shows, _ = words()
    for figures in (BEFORE, AFTER):
        for value in figures.values():
            assert f"{value:.2f} %" in shows


@pytest.mark.parametrize(
    ("changes", "there", "not_there"),
    [
        ({}, "the method is approximate", "trained anew"),
        ({}, "No model was retrained", "trained anew"),
        ({"retrained": True}, "trained anew", "No model was retrained"),
        ({"retrained": True}, "trained anew", "approximate"),
        ({"given": True}, "no guarantee", "not handed in"),
        ({"given": False}, "not handed in", "never was"),
        ({"expected": VALIDATED}, "`study.validation` has", "never validated"),
        ({"expected": FOUND}, "never validated", "study.validation"),
        ({"expected": None}, "is not known", "was chosen by its figures on half"),
        ({"changed": True}, "The study was made on other data", "not handed in"),
        ({"changed": False}, "no guarantee", "The study was made on other data"),
        ({"earlier": Earlier()}, "no guarantee", "The data have changed"),
        ({"flags": ["empty_selection"]}, "It shows no forgetting at all", "never validated"),
        ({"flags": []}, "no guarantee", "It shows no forgetting at all"),
        ({"selected": 0}, "has selected none of them", "It shows no forgetting at all"),
        ({"selected": 1}, "no guarantee", "has selected none of them"),
        (
            {"earlier": Earlier([{}], (), None, DATA, True)},
            "The data have changed",
            "not trained on",
        ),
    ],
)
def test_what_is_not_shown_depends_on_what_was_done(
    changes: dict[str, Any], there: str, not_there: str
) -> None:
    _, does_not = words(**changes)
    assert there in does_not
    assert not_there not in does_not


def test_a_test_accuracy_of_some_classes_is_no_other() -> None:
    before, after = {"ta_all_classes": 60.5}, {"ta_all_classes": 40.25}
    assert "on test data 81.25 % and 80.12 %." in words()[0]
    told = words(before=before, after=after)[0]
    assert "80.12 % of the classes that are retained, 60.50 % and 40.25 % of all." in told


@pytest.mark.parametrize(
    ("expected", "ta", "told"),
    [
        # p(1 − p)/n is one point squared here, which the repeats' 0.5 make 1.118 points.
        (VALIDATED, 76.7, None),
        (VALIDATED, 76.6, "of 76.60 %, where `validate` has found 80.00 ± 0.50 %"),
        (FOUND, 77.1, None),
        (FOUND, 76.9, "of 76.90 %, where its trial had 80.00 %"),
        (FOUND, 100.0, None),
        (None, 0.0, None),
    ],
)
def test_a_configuration_that_does_not_carry_over_is_told_of(
    expected: ExpectedAccuracy | None, ta: float, told: str | None
) -> None:
    shows, _ = words(expected=expected, after={"ta": ta})
    assert ("does not carry over" in shows) == (told is not None)
    assert told is None or told in shows


def test_an_attack_that_guesses_is_told_of() -> None:
    assert "balanced accuracy" not in words()[1]
    assert "balanced accuracy is 52.5 %" in words(attack_accuracy=52.5)[1]
    assert "under 62.2 %" in words(attack_accuracy=60.0, attack_samples=50)[1]


@pytest.mark.parametrize("samples", [1, 2])
def test_no_attack_is_asked_for_more_than_all(samples: int) -> None:
    _, does_not = words(attack_accuracy=100.0, attack_samples=samples)
    assert f"fitted on {samples} of each, from which nothing can be told" in does_not
    assert "under" not in does_not


@pytest.mark.parametrize(("selected", "told"), [(0, True), (2, True), (3, False), (None, False)])
def test_that_a_method_works_on_some_samples_only_is_told(selected: int | None, told: bool) -> None:
    assert (f"selected {selected} of the 3 samples" in words(selected=selected)[0]) is told


def test_how_many_samples_of_earlier_requests_were_left_out_is_told() -> None:
    assert "earlier" not in words()[0]
    assert (
        "The 2 samples that earlier requests have named"
        in words(earlier=Earlier([{}], [4, 5], None, DATA))[0]
    )
