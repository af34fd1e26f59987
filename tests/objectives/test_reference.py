"""The retrained reference."""

import json
import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.evaluation import Evaluation
from objectives.reference import MIN_RETRAININGS, Reference

percents = st.integers(100, 10_000).map(lambda hundredths: hundredths / 100)
evaluations = st.builds(Evaluation, percents, percents, percents, percents)
references = st.builds(
    Reference,
    st.lists(evaluations, min_size=MIN_RETRAININGS, max_size=8).map(tuple),
    st.floats(0.001, 1e5),
)
RUNS = (
    Evaluation(ta=90.0, fa=80.0, ra=100.0, mia=20.0),
    Evaluation(ta=92.0, fa=84.0, ra=98.0, mia=22.0),
    Evaluation(ta=94.0, fa=82.0, ra=99.0, mia=18.0),
)


@given(references)
def test_mean_and_spread_are_those_of_numpy(reference: Reference) -> None:
    table = np.array([astuple(run)[:4] for run in reference.runs])
    mean = reference.mean
    assert [reference.ta, mean.fa, mean.ra, mean.mia] == pytest.approx(table.mean(axis=0))
    spread = reference.spread()
    assert list(spread) == ["ta", "fa", "ra", "mia"]
    assert list(spread.values()) == pytest.approx(table.std(axis=0, ddof=1), abs=1e-9)


@given(references)
def test_the_ceiling_is_the_mean_frm_of_one_against_the_mean_of_the_others(
    reference: Reference,
) -> None:
    table = np.array([astuple(run)[1:4] for run in reference.runs])
    scores = []
    for left_out in range(len(table)):
        others = np.delete(table, left_out, axis=0).mean(axis=0)
        scores.append(np.exp(-np.sum(np.abs(table[left_out] - others) / others)))
    assert reference.ceiling == pytest.approx(np.mean(scores))


def test_the_ceiling_by_hand() -> None:
    gaps = (
        3 / 83 + 1.5 / 98.5 + 0 / 20,
        3 / 81 + 1.5 / 99.5 + 3 / 19,
        0 / 82 + 0 / 99 + 3 / 21,
    )
    expected = sum(math.exp(-gap) for gap in gaps) / 3
    assert Reference(RUNS, 1.0).ceiling == pytest.approx(expected)


def test_retrainings_that_agree_have_a_ceiling_of_1() -> None:
    runs = tuple(Evaluation(ta=ta, fa=80.0, ra=100.0, mia=20.0) for ta in (90.0, 91.0, 92.0))
    assert Reference(runs, 1.0).ceiling == pytest.approx(1)


@pytest.mark.parametrize("count", range(MIN_RETRAININGS))
def test_too_few_retrainings_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="3 retrainings or more"):
        Reference(RUNS[:count], 1.0)


@given(references)
def test_a_reference_survives_json(reference: Reference) -> None:
    assert Reference.from_dict(json.loads(json.dumps(reference.as_dict()))) == reference


def test_a_reference_of_a_class_survives_json() -> None:
    runs = tuple(replace(run, ta_all_classes=run.ta, ta_other_classes=91.0) for run in RUNS)
    reference = Reference(runs, 1.0)
    assert Reference.from_dict(json.loads(json.dumps(reference.as_dict()))) == reference


def test_the_stored_form_spells_out_what_follows_from_the_runs() -> None:
    stored = Reference(RUNS, 2.5).as_dict()
    assert stored["seconds"] == 2.5
    assert stored["mean"] == pytest.approx({"ta": 92.0, "fa": 82.0, "ra": 99.0, "mia": 20.0})
    assert stored["sd"] == pytest.approx({"ta": 2.0, "fa": 2.0, "ra": 1.0, "mia": 2.0})
    assert stored["ceiling"] == Reference(RUNS, 2.5).ceiling
