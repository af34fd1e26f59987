"""`pareto-search validate`."""

import csv
import json
from pathlib import Path

import pytest

from tests.pareto.cli.conftest import Invoke
from tests.pareto.home import Home

WORDS = ("validate", "--trial", "2", "--repeats", "2", "--device", "cpu")


@pytest.fixture
def copy(finished: Home, tmp_path: Path) -> Home:
    return finished.copy(tmp_path / "home")


def test_a_trial_is_validated_as_json_on_standard_output_alone(copy: Home, invoke: Invoke) -> None:
    ending = invoke(copy.folder, *WORDS, "--format", "json", "--quiet")
    assert (ending.code, ending.err) == (0, "")
    result = json.loads(ending.out)
    assert (result["number"], result["reproduced"]) == (2, True)
    assert len(result["repeats"]) == 2


def test_a_trial_is_validated_as_csv(copy: Home, invoke: Invoke) -> None:
    ending = invoke(copy.folder, *WORDS, "--format", "csv")
    rows = list(csv.DictReader(ending.out.splitlines()))
    assert ending.code == 0
    assert len(rows) == 2
    assert all(0 <= float(row["ta"]) <= 100 for row in rows)


def test_a_trial_is_validated_in_a_table(copy: Home, invoke: Invoke) -> None:
    ending = invoke(copy.folder, *WORDS)
    assert ending.code == 0
    assert "fresh repeats on the report half, mean of 2" in ending.out
    assert "reproduces every objective bit for bit" in ending.out


def test_a_pick_tells_of_its_validation(copy: Home, invoke: Invoke) -> None:
    number = copy.study().pick(prefer="ta").trial.number
    invoke(copy.folder, "validate", "--trial", str(number), "--repeats", "1", "--quiet")
    picked = json.loads(invoke(copy.folder, "pick", "--prefer", "ta", "--format", "json").out)
    assert picked["validation"]["number"] == number
    (run,) = picked["validation"]["repeats"]
    told = f"TA {run['ta']:.2f} %, FRM {run['frm']:.3f}, RTE {run['rte']:.3f} s."
    said = invoke(copy.folder, "pick", "--prefer", "ta").out
    assert f"Run again on data the search never saw, 1×: {told}" in said


def test_a_single_repeat_has_no_deviation(copy: Home, invoke: Invoke) -> None:
    words = ("validate", "--trial", "2", "--device", "cpu", "--repeats")
    assert "±" not in invoke(copy.folder, *words, "1").out
    assert "±" in invoke(copy.folder, *words, "2").out


def test_a_trial_that_is_not_there_is_refused(copy: Home, invoke: Invoke) -> None:
    invoke(copy.folder, "validate", "--trial", "99").assert_is_users_mistake()


def test_a_validation_is_held_against_requirements(copy: Home, invoke: Invoke) -> None:
    met, unmet = "fa_gap + mia_gap <= 200", "frm >= ceiling + 1"
    words = (*WORDS, "--require", met)
    ending = invoke(copy.folder, *words, "--format", "json")
    result = json.loads(ending.out)
    (judged,) = result["requirements"]
    mean, retrained = result["mean"], result["retrained"]
    gaps = mean["fa"] - retrained["fa"] + mean["mia"] - retrained["mia"]
    assert (ending.code, judged["requirement"]) == (0, met)
    assert (judged["left"], judged["right"]) == pytest.approx((gaps, 200))
    ending = invoke(copy.folder, *words, "--require", unmet)
    told = f"{unmet}: {mean['frm']:.4g} not >= {result['ceiling'] + 1:.4g}, "
    assert ending.code == 3
    assert told in ending.out
    assert "missing (mean of the fresh repeats)" in ending.out


def test_whatever_is_known_of_a_trial_may_be_required_of_its_repeats(
    copy: Home, invoke: Invoke
) -> None:
    requirement = "kept_forget + attack_accuracy + wall_seconds >= 1"
    assert invoke(copy.folder, "pick", "--require", requirement).code == 0
    ending = invoke(copy.folder, *WORDS, "--require", requirement)
    assert ending.code == 0
    assert requirement in ending.out


def test_a_requirement_of_what_no_trial_has_is_refused_before_anything_runs(
    copy: Home, invoke: Invoke
) -> None:
    ending = invoke(copy.folder, *WORDS, "--require", "frn >= 0.5")
    ending.assert_is_users_mistake()
    assert "did you mean 'frm'" in ending.err
