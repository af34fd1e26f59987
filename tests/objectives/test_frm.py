"""The forgetting-retraining metric."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives import Metrics, frm_score, is_degenerate
from objectives.frm import mean_metrics

# Accuracies are shares of counted samples: hundredths of a percent are fine enough.
percents = st.integers(0, 10_000).map(lambda hundredths: hundredths / 100)
metrics = st.builds(Metrics, percents, percents, percents)
RETRAINED = Metrics(fa=80.0, ra=100.0, mia=20.0)


@pytest.mark.parametrize(
    ("unlearned", "gap"),
    [
        (Metrics(80.0, 100.0, 20.0), 0.0),
        (Metrics(88.0, 100.0, 20.0), 0.1),
        (Metrics(72.0, 100.0, 20.0), 0.1),
        (Metrics(80.0, 75.0, 20.0), 0.25),
        (Metrics(80.0, 100.0, 30.0), 0.5),
        (Metrics(80.0, 100.0, 10.0), 0.5),
        (Metrics(40.0, 90.0, 60.0), 0.5 + 0.1 + 2.0),
        (Metrics(0.0, 0.0, 100.0), 1.0 + 1.0 + 4.0),
    ],
)
def test_gaps_are_relative_to_the_retrained_model(unlearned: Metrics, gap: float) -> None:
    assert frm_score(unlearned, RETRAINED) == pytest.approx(math.exp(-gap), rel=1e-12)


@pytest.mark.parametrize(
    ("unlearned", "frm"),
    [
        (Metrics(fa=41.62, ra=41.21, mia=57.61), 0.051),  # IU + OMP
        (Metrics(fa=66.74, ra=66.15, mia=34.15), 0.305),  # GA + OMP
        (Metrics(fa=84.13, ra=90.96, mia=15.42), 0.767),  # FT + OMP
        (Metrics(fa=81.22, ra=81.75, mia=18.93), 0.855),  # ConMU
        (Metrics(fa=80.46, ra=91.47, mia=19.62), 1.0),  # retraining itself
    ],
)
def test_table_1_of_the_paper_is_reproduced(unlearned: Metrics, frm: float) -> None:
    retrained = Metrics(fa=80.46, ra=91.47, mia=19.62)
    # The paper averages the FRM of ten runs; this is the FRM of their averages.
    assert frm_score(unlearned, retrained) == pytest.approx(frm, abs=0.006)


@pytest.mark.parametrize(
    ("unlearned", "reference", "gap"),
    [
        (Metrics(0.0, 100.0, 20.0), Metrics(0.0, 100.0, 20.0), 0.0),
        (Metrics(3.0, 100.0, 20.0), Metrics(0.0, 100.0, 20.0), 3.0),
        (Metrics(80.0, 100.0, 2.0), Metrics(80.0, 100.0, 0.0), 2.0),
        (Metrics(1.5, 100.0, 20.0), Metrics(0.5, 100.0, 20.0), 1.0),
        (Metrics(1.5, 100.0, 20.0), Metrics(1.0, 100.0, 20.0), 0.5),
        (Metrics(4.0, 100.0, 20.0), Metrics(2.0, 100.0, 20.0), 1.0),
    ],
)
def test_references_under_one_percent_are_divided_by_one_point(
    unlearned: Metrics, reference: Metrics, gap: float
) -> None:
    assert frm_score(unlearned, reference) == pytest.approx(math.exp(-gap), rel=1e-12)


@given(metrics, metrics)
def test_the_score_lies_between_0_and_1(unlearned: Metrics, reference: Metrics) -> None:
    assert 0 <= frm_score(unlearned, reference) <= 1


@given(metrics, metrics)
def test_the_score_is_1_only_for_equal_figures(unlearned: Metrics, reference: Metrics) -> None:
    assert (frm_score(unlearned, reference) == 1) == (unlearned == reference)


@given(metrics)
def test_a_model_is_like_itself(each: Metrics) -> None:
    assert frm_score(each, each) == 1


@given(metrics, metrics, st.sampled_from(["fa", "ra", "mia"]))
def test_closing_one_gap_never_lowers_the_score(
    unlearned: Metrics, reference: Metrics, name: str
) -> None:
    closer = Metrics(**{**vars(unlearned), name: getattr(reference, name)})
    assert frm_score(closer, reference) >= frm_score(unlearned, reference)


@pytest.mark.parametrize(
    ("reference", "degenerate"),
    [
        (Metrics(80.0, 100.0, 20.0), False),
        (Metrics(1.0, 1.0, 1.0), False),
        (Metrics(0.99, 100.0, 20.0), True),
        (Metrics(80.0, 0.0, 20.0), True),
        (Metrics(80.0, 100.0, 0.5), True),
    ],
)
def test_a_reference_under_one_percent_is_degenerate(reference: Metrics, degenerate: bool) -> None:
    assert is_degenerate(reference) is degenerate


def test_the_mean_is_taken_figure_by_figure() -> None:
    runs = [Metrics(10.0, 20.0, 30.0), Metrics(20.0, 20.0, 0.0), Metrics(60.0, 50.0, 0.0)]
    assert mean_metrics(runs) == Metrics(30.0, 30.0, 10.0)
