"""Choosing a trial, and explaining why none will do, against brute force."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pareto.choice.pick import Judgement, NothingSatisfies, Pick, choose
from pareto.choice.requirements import Requirement, parse
from pareto.cli._output import judgement_line, judgement_summary
from pareto.defaults import PREFERENCES
from pareto.front import DIRECTIONS, OBJECTIVES, knee, non_dominated
from pareto.ledger import Trial
from unlearn.errors import InputError

KNOWN = ("ta", "frm", "rte", "fa", "retrain_rte")
CONSTANTS = {"retrain_rte": 60.0}


def trial(number: int, ta: float, frm: float, rte: float, fa: float = 50.0) -> Trial:
    metrics = {"ta": ta, "frm": frm, "rte": rte, "fa": fa}
    return Trial(number, "complete", {"alpha": number}, (ta, frm, rte), metrics, {}, None)


def requirements(*texts: str) -> list[Requirement]:
    return [parse(text, KNOWN) for text in texts]


def pick(trials: Sequence[Trial], *texts: str, prefer: str = "ta") -> Pick:
    return choose(trials, CONSTANTS, requirements(*texts), prefer)


def explain(trials: Sequence[Trial], wanted: Sequence[Requirement]) -> NothingSatisfies:
    with pytest.raises(NothingSatisfies) as caught:
        choose(trials, CONSTANTS, wanted, "ta")
    return caught.value


def refusal(trials: Sequence[Trial], *texts: str) -> NothingSatisfies:
    return explain(trials, requirements(*texts))


FRONT = [
    trial(3, ta=90, frm=0.30, rte=9),
    trial(5, ta=80, frm=0.80, rte=6),
    trial(8, ta=70, frm=0.90, rte=5),
    trial(9, ta=60, frm=0.40, rte=1),
]


@pytest.mark.parametrize(("prefer", "number"), [("ta", 3), ("frm", 8), ("rte", 9), ("knee", 5)])
def test_without_requirements_the_preferred_point_of_the_front_is_chosen(
    prefer: str, number: int
) -> None:
    assert pick(FRONT, prefer=prefer).trial.number == number


def test_only_trials_that_satisfy_everything_are_chosen_from() -> None:
    chosen = pick(FRONT, "frm >= 0.35", "rte <= 0.1 * retrain_rte", prefer="ta")
    assert (chosen.trial.number, chosen.satisfying) == (5, 3)


def test_the_knee_is_that_of_the_satisfying_trials() -> None:
    satisfying = [trial(1, ta=60, frm=0.1, rte=9), trial(2, ta=50, frm=0.9, rte=9)]
    middle = trial(4, ta=58, frm=0.6, rte=9)
    assert pick([*FRONT, *satisfying, middle], "rte >= 9", "ta < 90", prefer="knee").trial == middle


def test_a_trial_off_the_front_is_chosen_if_only_it_satisfies() -> None:
    dominated = trial(11, ta=50, frm=0.30, rte=9, fa=10)
    assert pick([*FRONT, dominated], "fa <= 20").trial == dominated


def test_a_satisfying_trial_that_another_one_dominates_is_no_candidate() -> None:
    better, worse = trial(2, ta=50, frm=0.5, rte=4, fa=10), trial(1, ta=50, frm=0.4, rte=4, fa=10)
    chosen = pick([*FRONT, worse, better], "fa <= 20", prefer="ta")
    assert (chosen.trial, chosen.satisfying, chosen.candidates) == (better, 2, 1)


@pytest.mark.parametrize(
    ("prefer", "rivals", "winner"),
    [
        ("ta", [trial(0, 90, 0.5, 5), trial(1, 90, 0.6, 9)], 1),
        ("frm", [trial(0, 80, 0.6, 1), trial(1, 90, 0.6, 9)], 1),
        ("rte", [trial(0, 80, 0.9, 5), trial(1, 90, 0.1, 5)], 1),
        ("ta", [trial(7, 90, 0.5, 5), trial(4, 90, 0.5, 5)], 4),
        ("knee", [trial(7, 90, 0.5, 5), trial(4, 90, 0.5, 5), trial(2, 0, 0.4, 4)], 7),
    ],
)
def test_ties_go_to_the_other_objectives_and_then_to_the_number(
    prefer: str, rivals: list[Trial], winner: int
) -> None:
    assert pick(rivals, prefer=prefer).trial.number == winner


VALUES = st.tuples(
    st.integers(50, 53).map(float),
    st.integers(0, 3).map(lambda tenths: tenths / 10),
    st.integers(1, 4).map(float),
    st.integers(0, 3).map(float),
)
TRIALS = st.lists(VALUES, min_size=1, max_size=12).map(
    lambda rows: [trial(number, *row) for number, row in enumerate(rows)]
)
CONDITIONS = st.lists(
    st.sampled_from(
        [
            *("ta >= 52", "ta > 51", "frm >= 0.2", "frm > 0.3", "rte <= 2", "rte < 2"),
            *("fa >= 2", "fa < 1", "ta - 10 * rte >= 30", "frm * rte <= 0.4", "ta >= 54"),
        ]
    ),
    min_size=1,
    max_size=4,
    unique=True,
)


@given(TRIALS, CONDITIONS, st.sampled_from(PREFERENCES))
def test_the_choice_is_what_filtering_and_sorting_by_hand_gives(
    trials: list[Trial], texts: list[str], prefer: str
) -> None:
    wanted = requirements(*texts)
    satisfying = [t for t in trials if all(r.holds({**CONSTANTS, **t.metrics}) for r in wanted)]
    assume(satisfying)
    values = [t.values for t in satisfying if t.values is not None]
    mask = non_dominated(values, DIRECTIONS)
    candidates = [t for t, kept in zip(satisfying, mask, strict=True) if kept]
    if prefer == "knee":
        row = knee(values, DIRECTIONS)
        assert row is not None
        expected = satisfying[row]
    else:

        def order(candidate: Trial) -> tuple[float, ...]:
            figures = candidate.metrics
            better = {"ta": -figures["ta"], "frm": -figures["frm"], "rte": figures["rte"]}
            return (better[prefer], *(better[name] for name in OBJECTIVES), candidate.number)

        expected = min(candidates, key=order)
    chosen = choose(trials, CONSTANTS, wanted, prefer)
    assert chosen.trial == expected
    assert (chosen.satisfying, chosen.candidates) == (len(satisfying), len(candidates))


@pytest.mark.parametrize("prefer", PREFERENCES)
def test_the_reason_names_the_trial(prefer: str) -> None:
    chosen = pick(FRONT, "ta >= 65", prefer=prefer)
    assert f"Trial {chosen.trial.number} " in chosen.why


def test_the_only_one_is_called_so() -> None:
    assert (
        pick(FRONT, "ta >= 85").why == "Trial 3 is the only one that satisfies every requirement."
    )


def test_every_requirement_is_judged_in_the_order_given() -> None:
    chosen = pick(FRONT, "rte <= 0.1 * retrain_rte", "ta >= 75")
    judged = [(j.requirement.text, j.left, j.right, j.slack) for j in chosen.judgements]
    assert judged == [("rte <= 0.1 * retrain_rte", 6, 6, 0), ("ta >= 75", 80, 75, 5)]


def test_what_is_just_missed_is_said_to_be_missing() -> None:
    missed = refusal(FRONT[:2], "ta > 90").binding.best
    assert judgement_line(missed) == "ta > 90: 90 not > 90, 0 missing"


def test_what_has_no_value_is_null_in_json() -> None:
    (judged,) = refusal(FRONT[:1], "ta / (fa - 50) >= 1").judgements
    summary = judgement_summary(judged)
    assert (summary["left"], summary["slack"], summary["holds"]) == (None, None, False)


def test_an_unknown_preference_is_refused() -> None:
    with pytest.raises(InputError, match="nothing is preferred by"):
        pick(FRONT, prefer="cheap")


def test_the_requirement_that_no_trial_satisfies_alone_binds() -> None:
    failure = refusal(FRONT, "rte <= 1", "frm >= 0.95")
    assert failure.binding.best.requirement.text == "frm >= 0.95"
    assert failure.binding.satisfying == 0


def test_the_best_reachable_value_is_that_of_the_trial_that_comes_furthest() -> None:
    failure = refusal(FRONT, "frm >= 0.95")
    assert (failure.binding.best_trial, failure.binding.best.left) == (8, 0.9)


def test_an_obstacle_tells_how_many_trials_satisfy_it_alone() -> None:
    failure = refusal(FRONT, "frm >= 0.8", "rte <= 1")
    assert [obstacle.satisfying for obstacle in failure.obstacles] == [2, 1]


def test_of_requirements_that_can_be_satisfied_alone_the_one_the_nearest_trial_misses_binds() -> (
    None
):
    failure = refusal(FRONT, "ta >= 69", "frm >= 0.8", "rte <= 4.5")
    assert failure.nearest.number == 8
    assert failure.binding.best.requirement.text == "rte <= 4.5"


def test_a_strict_requirement_missed_by_nothing_binds_all_the_same() -> None:
    trials = [trial(0, ta=60, frm=0.5, rte=1), trial(1, ta=40, frm=0.9, rte=1)]
    failure = refusal(trials, "ta >= 50", "frm > 0.5")
    assert failure.nearest.number == 0
    assert failure.binding.best.requirement.text == "frm > 0.5"


@pytest.mark.filterwarnings("error")
def test_a_requirement_without_a_value_anywhere_binds() -> None:
    failure = refusal(FRONT, "ta >= 0", "ta / (fa - fa) >= 1")
    assert failure.binding.best.requirement.text == "ta / (fa - fa) >= 1"
    assert failure.binding.satisfying == 0


def by_hand(trials: list[Trial], wanted: list[Requirement]) -> list[list[float]]:
    """How much each trial misses of each requirement, in the range over which trials vary."""
    slacks = [[r.slack({**CONSTANTS, **t.metrics}) for r in wanted] for t in trials]
    spans = [max(column) - min(column) for column in zip(*slacks, strict=True)]
    return [
        [max(0.0, -slack) / (span or 1.0) for slack, span in zip(row, spans, strict=True)]
        for row in slacks
    ]


@given(TRIALS, CONDITIONS)
def test_the_explanation_is_what_brute_force_gives(trials: list[Trial], texts: list[str]) -> None:
    wanted = requirements(*texts)
    holds = [[r.holds({**CONSTANTS, **t.metrics}) for r in wanted] for t in trials]
    assume(not any(map(all, holds)))
    failure = explain(trials, wanted)
    missing = by_hand(trials, wanted)
    nearest = missing[failure.nearest.number]
    assert sum(nearest) == pytest.approx(min(map(sum, missing)))
    alone = [sum(column) for column in zip(*holds, strict=True)]
    assert [obstacle.satisfying for obstacle in failure.obstacles] == alone
    for requirement, obstacle in zip(wanted, failure.obstacles, strict=True):
        best = max(requirement.slack({**CONSTANTS, **t.metrics}) for t in trials)
        assert obstacle.best.slack == best
        figures = {**CONSTANTS, **trials[obstacle.best_trial].metrics}
        assert obstacle.best == Judgement.of(requirement, figures)
    position = failure.obstacles.index(failure.binding)
    if 0 in alone:
        assert alone[position] == 0
    else:
        assert not holds[failure.nearest.number][position]
        assert math.isclose(nearest[position], max(nearest))
