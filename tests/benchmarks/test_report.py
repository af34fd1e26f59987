"""Rows of benchmarks: what is made of the runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks._report import Row, _shown_ratio

SECONDS = st.floats(0.01, 100)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=2, max_size=9))
def test_median_quartiles_and_ratio_are_those_of_numpy(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = map(list, zip(*pairs, strict=True))
    row = Row.of("ours", ours, "s", baseline=("theirs", theirs))
    assert row.median == pytest.approx(np.median(ours))
    assert row.spread == pytest.approx(np.subtract(*np.percentile(ours, [75, 25])))
    assert row.ratio == pytest.approx(np.median(np.divide(ours, theirs)))
    assert (row.runs, row.baseline) == (len(pairs), "theirs")


def test_a_single_run_has_no_spread_and_without_a_baseline_there_is_no_ratio() -> None:
    assert Row.of("ours", [2.0], "s") == Row("ours", 2.0, 0.0, "s", 1)


@pytest.mark.parametrize(
    ("ratio", "shown"), [(0.125, "1/8.0"), (0.5, "1/2.0"), (1.0, "1.00"), (1.083, "1.08")]
)
def test_a_ratio_under_one_is_shown_as_a_fraction(ratio: float, shown: str) -> None:
    assert _shown_ratio(ratio) == shown
