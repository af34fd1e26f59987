"""What a sampler sees of a study."""

from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState, create_trial

from pareto.sampling.excerpt import telling

STATES = (TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING)
# Few different coordinates, so that ties and dominance are common.
VALUES = st.tuples(*(st.integers(0, 4).map(float) for _ in range(3)))
TRIALS = st.lists(st.tuples(st.sampled_from((TrialState.COMPLETE, *STATES)), VALUES), max_size=25)
Drawn = list[tuple[TrialState, tuple[float, float, float]]]


def frozen(drawn: Drawn) -> list[FrozenTrial]:
    trials = []
    for number, (state, values) in enumerate(drawn):
        trial = create_trial(state=state, values=values if state == TrialState.COMPLETE else None)
        trial.number = number
        trials.append(trial)
    return trials


def dominates(one: FrozenTrial, other: FrozenTrial) -> bool:
    """By definition, with two objectives to be high and the third to be low."""
    pairs = list(zip(one.values, other.values, (1, 1, -1), strict=True))
    return one.values != other.values and all(sign * a >= sign * b for a, b, sign in pairs)


@given(TRIALS, st.integers(2, 12))
def test_an_excerpt_is_the_latest_of_the_front_and_the_latest_others(
    drawn: Drawn, enough: int
) -> None:
    trials = frozen(drawn)
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    seen = telling(trials, enough)
    if len(complete) <= enough:
        assert seen == trials
        return
    front = [t for t in complete if not any(dominates(other, t) for other in complete)]
    chosen = front[-(enough // 2) :]
    others = [trial for trial in complete if trial not in chosen]
    chosen += others[len(others) - (enough - len(chosen)) :]
    rest = [trial for trial in trials if trial.state != TrialState.COMPLETE]
    assert seen == sorted([*chosen, *rest])
