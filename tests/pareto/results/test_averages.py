"""Means and standard deviations, against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pareto.results.averages import SIX_FIGURES, columns, mean_and_sd

FIGURES = st.floats(0, 100)


@given(st.lists(st.tuples(*[FIGURES] * len(SIX_FIGURES)), min_size=2, max_size=9))
def test_they_are_those_of_numpy(table: list[tuple[float, ...]]) -> None:
    runs = [dict(zip(SIX_FIGURES, row, strict=True)) for row in table]
    mean, sd = mean_and_sd(columns(runs))
    assert list(mean.values()) == pytest.approx(np.mean(table, axis=0))
    assert list(sd.values()) == pytest.approx(np.std(table, axis=0, ddof=1), abs=1e-9)


def test_a_figure_that_a_run_lacks_has_no_mean_and_a_single_run_no_deviation() -> None:
    runs = [{"ta": 1.0, "frm": 0.5}, {"ta": 3.0}]
    assert columns(runs) == {"ta": [1.0, 3.0]}
    assert mean_and_sd(columns(runs[:1])) == ({"ta": 1.0, "frm": 0.5}, {})
    assert mean_and_sd(columns([])) == ({}, {})
