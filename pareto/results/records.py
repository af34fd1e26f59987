"""Studies and trials as flat rows and as JSON, for files and programs."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from pareto.front import DIRECTIONS, OBJECTIVES
from pareto.ledger import Trial
from pareto.results.head_to_head import HeadToHead
from pareto.study import Study
from pareto.urls import shown


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV; the columns are all keys in the order in which they first appear."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def trial_row(trial: Trial, marks: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    """A trial as a flat row: number, state, marks, figures, parameters, reason."""
    params = {f"param_{name}": value for name, value in trial.params.items()}
    objectives = {name: trial.metrics[name] for name in OBJECTIVES if trial.metrics}
    return {
        "number": trial.number,
        "state": trial.state,
        "marks": ", ".join(marks.get(trial.number, ())),
        **objectives,
        **{name: value for name, value in trial.metrics.items() if name not in objectives},
        **params,
        **({"reason": trial.reason} if trial.reason else {}),
    }


def study_summary(study: Study) -> dict[str, Any]:
    """A study as JSON."""
    return {
        "study": study.name,
        "storage": shown(study.storage),
        "objectives": list(OBJECTIVES),
        "directions": list(DIRECTIONS),
        "reference": dict(study.reference),
        "original": dict(study.original),
        "ceiling": study.reference.get("ceiling"),
        "hypervolume": study.hypervolume(),
        "hypervolume_share": study.hypervolume_share(),
        "hypervolume_reference": study.hypervolume_reference(),
        "front": [trial.number for trial in study.front()],
        "marks": {str(number): marks for number, marks in study.marks().items()},
        "trials": [trial_summary(trial) for trial in study.trials()],
    }


def head_to_head_rows(compared: HeadToHead) -> list[dict[str, Any]]:
    """Two studies against each other as flat rows, one of each; what they share is in both."""
    common = {
        "budget": compared.budget,
        "box_rte": compared.box_rte,
        "enough_ta": compared.enough_ta,
    }
    rows = []
    for side in compared.sides:
        row = {**vars(side), **common}
        for role in ("best_frm", "lowest_rte"):
            trial = row.pop(role)
            row[f"{role}_trial"] = trial.number
            row |= {f"{role}_trial_{name}": trial.metrics[name] for name in OBJECTIVES}
        rows.append(row)
    return rows


def head_to_head_summary(compared: HeadToHead) -> dict[str, Any]:
    """Two studies against each other as JSON."""
    trials = ("best_frm", "lowest_rte")
    return {
        "budget": compared.budget,
        "hypervolume_reference": [0.0, 0.0, compared.box_rte],
        "enough_ta": compared.enough_ta,
        "studies": [
            {**vars(side), **{role: trial_summary(getattr(side, role)) for role in trials}}
            for side in compared.sides
        ],
        "caveats": list(compared.caveats),
    }


def trial_summary(trial: Trial) -> dict[str, Any]:
    """A trial as JSON."""
    return {
        "number": trial.number,
        "state": trial.state,
        "params": dict(trial.params),
        "values": dict(zip(OBJECTIVES, trial.values, strict=True)) if trial.values else None,
        "metrics": dict(trial.metrics),
        "flags": list(trial.run.get("flags", ())),
        "reason": trial.reason,
    }
