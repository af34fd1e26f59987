"""The benchmark of samplers: what it takes for the pick of a user."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.samplers import FRM_REQUIRED, RTE_ALLOWED, pick
from pareto.choice import NothingSatisfies, choose
from pareto.front import OBJECTIVES
from pareto.ledger import Trial
from pareto.requirements import parse

CEILING, RETRAINING = 0.9, 60.0
WANTED = (f"frm >= {FRM_REQUIRED} * ceiling", f"rte <= {RTE_ALLOWED} * retrain_rte")

values = st.tuples(st.floats(0, 100), st.floats(0, 1), st.floats(0, 2 * RETRAINING))


@given(st.lists(values, min_size=1))
def test_it_is_what_the_program_picks(points: list[tuple[float, float, float]]) -> None:
    trials = [
        Trial(number, "complete", {}, point, dict(zip(OBJECTIVES, point, strict=True)), {}, None)
        for number, point in enumerate(points)
    ]
    constants = {"ceiling": CEILING, "retrain_rte": RETRAINING}
    known = (*OBJECTIVES, *constants)
    try:
        chosen = choose(trials, constants, [parse(text, known) for text in WANTED], "ta")
    except NothingSatisfies:
        assert pick(points, CEILING, RETRAINING) is None
    else:
        assert pick(points, CEILING, RETRAINING) == chosen.trial.metrics["ta"]
