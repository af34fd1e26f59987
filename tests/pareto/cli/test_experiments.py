"""How `compare` and `sweep` end."""

import pytest

from pareto.cli._experiments import end, ending
from pareto.errors import TrialFails
from pareto.experiments.experiment import Results

LABELS = ["one", "other"]


def results(*failures: dict[int, str], interrupted: bool = False) -> Results:
    return Results("x", {}, [{}, {}], failures, interrupted)


def test_the_end_is_silent_where_everything_was_run() -> None:
    end(results({}, {}), LABELS)


def test_failures_are_named_with_their_reasons() -> None:
    with pytest.raises(TrialFails) as caught:
        end(results({1: "ValueError: no"}, {0: "KeyError: never"}), LABELS)
    assert caught.value.problem == (
        "2 run(s) failed: one, repeat 2: ValueError: no; other, repeat 1: KeyError: never"
    )


def test_of_many_failures_the_first_are_named() -> None:
    with pytest.raises(TrialFails, match=r"^5 run\(s\) failed: .* …\n") as caught:
        end(results(dict.fromkeys(range(5), "ValueError: no"), {}), LABELS)
    assert caught.value.problem.count("ValueError: no") == 3


@pytest.mark.parametrize("failure", [{}, {0: "interrupted"}])
def test_an_interruption_is_told_as_such_even_after_failures(failure: dict[int, str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        end(results(failure, {}, interrupted=True), LABELS)


@pytest.mark.parametrize(
    ("told", "ends_with"),
    [
        (results({}, {}), BrokenPipeError),
        (results({0: "ValueError: no"}, {}), TrialFails),
        (results({}, {}, interrupted=True), KeyboardInterrupt),
    ],
)
def test_what_is_missing_counts_for_more_than_that_nobody_reads(
    told: Results, ends_with: type[BaseException]
) -> None:
    with pytest.raises(ends_with), ending(told, LABELS):
        raise BrokenPipeError
