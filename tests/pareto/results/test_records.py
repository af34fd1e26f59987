"""Trials and studies as flat rows and as JSON."""

import csv
import io
import json

from pareto.ledger import Trial
from pareto.results.records import csv_text, study_summary, trial_row, trial_summary
from tests.pareto.conftest import TRIALS
from tests.pareto.home import NAME, Home

COMPLETE = Trial(
    4,
    "complete",
    {"alpha": 3, "sigma": 0.1},
    (80.0, 0.5, 2.0),
    {"fa": 70.0, "ta": 80.0, "frm": 0.5, "rte": 2.0},
    {"flags": ["empty_selection"]},
    None,
)
FAILED = Trial(5, "failed", {"alpha": 1, "sigma": 0.2}, None, {}, {}, 'ValueError: "a", b\nc')


def test_a_row_starts_with_number_state_marks_and_objectives() -> None:
    row = trial_row(COMPLETE, {4: ["knee", "best ta"]})
    assert list(row)[:6] == ["number", "state", "marks", "ta", "frm", "rte"]
    assert row["marks"] == "knee, best ta"


def test_a_row_has_figures_and_parameters() -> None:
    row = trial_row(COMPLETE, {})
    assert (row["fa"], row["param_alpha"], row["param_sigma"]) == (70.0, 3, 0.1)


def test_the_row_of_a_failed_trial_has_the_reason() -> None:
    assert trial_row(FAILED, {})["reason"] == FAILED.reason


def test_csv_reads_back_whatever_the_text() -> None:
    text = csv_text([trial_row(COMPLETE, {}), trial_row(FAILED, {})])
    complete, failed = csv.DictReader(io.StringIO(text))
    assert failed["reason"] == FAILED.reason
    assert (failed["ta"], complete["reason"]) == ("", "")
    assert float(complete["param_sigma"]) == 0.1


def test_a_summary_names_the_values() -> None:
    assert trial_summary(COMPLETE)["values"] == {"ta": 80.0, "frm": 0.5, "rte": 2.0}
    assert trial_summary(FAILED)["values"] is None


def test_the_summary_of_a_study_is_json_with_everything(finished: Home) -> None:
    study = finished.study()
    summary = json.loads(json.dumps(study_summary(study), allow_nan=False))
    assert summary["study"] == NAME
    assert summary["storage"] == finished.url
    assert summary["objectives"] == ["ta", "frm", "rte"]
    assert summary["directions"] == ["maximize", "maximize", "minimize"]
    assert summary["reference"] == study.reference
    assert summary["ceiling"] == study.reference["ceiling"]
    assert summary["hypervolume"] == study.hypervolume()
    assert summary["front"] == [trial.number for trial in study.front()]
    assert [trial["number"] for trial in summary["trials"]] == list(range(TRIALS))
    keys = {"number", "state", "params", "values", "metrics", "reason"}
    assert all(keys <= trial.keys() for trial in summary["trials"])
