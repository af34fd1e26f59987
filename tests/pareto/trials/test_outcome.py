"""What counts as a valid outcome of a trial."""

import pytest

from pareto.trials.outcome import Outcome

METRICS = {"frm": 0.5, "rte": 2.0, "ta": 80.0, "fa": 70.0}


def test_values_come_in_the_order_of_the_objectives() -> None:
    assert Outcome(METRICS, {}).values == [80.0, 0.5, 2.0]


def test_finite_objectives_are_no_defect() -> None:
    assert Outcome(METRICS, {}).defect() is None


@pytest.mark.parametrize("name", ["ta", "frm", "rte"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_objective_that_is_not_finite_is_a_defect(name: str, value: float) -> None:
    assert Outcome({**METRICS, name: value}, {}).defect() == f"objective {name} is {value}"


@pytest.mark.parametrize("name", ["ta", "frm", "rte"])
def test_a_missing_objective_is_a_defect(name: str) -> None:
    metrics = {key: value for key, value in METRICS.items() if key != name}
    assert Outcome(metrics, {}).defect() == f"objective {name} is missing"


def test_a_figure_that_is_no_objective_may_be_anything() -> None:
    assert Outcome({**METRICS, "fa": float("nan")}, {}).defect() is None
