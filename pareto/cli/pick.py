"""`pareto-search pick`: one point of the front."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pareto.cli._options import (
    format_option,
    persisted_study_option,
    prefer_option,
    requirement_options,
    storage_option,
)
from pareto.cli._policy import stated
from pareto.commands import study_command

if TYPE_CHECKING:
    from pareto.choice.pick import NothingSatisfies, Pick
    from pareto.study import Study

NOTHING_SATISFIES = 3


@click.command(
    epilog="""\b
Requirements compare sums and products of figures: any metric of a trial (ta, frm, rte, fa, ra,
mia, their gaps, …) and figures of the study (retrain_rte, original_ta, ceiling, …).

\b
Examples:
  pareto-search pick --require "frm >= 0.7" --require "rte <= 0.5 * retrain_rte" --prefer ta
  pareto-search pick --policy policy.toml --prefer knee --format json

\b
A policy file names requirements:
  [requirements]
  forgotten = "frm >= 0.9 * ceiling"
  useful    = "ta >= original_ta - 2"
"""
)
@persisted_study_option
@storage_option
@requirement_options
@prefer_option
@format_option
def pick(
    study: str | None,
    storage: str,
    require: tuple[str, ...],
    policy: Path | None,
    prefer: str,
    form: str,
) -> int:
    """Pick the point that satisfies your requirements. Exit code 3 if there is none."""
    from pareto.choice.pick import NothingSatisfies
    from pareto.study import open_study

    conditions = stated(require, policy)
    opened = open_study(study, storage)
    try:
        chosen = opened.pick(conditions, prefer)
    except NothingSatisfies as failure:
        explain(failure, opened)
        return NOTHING_SATISFIES
    _print(opened, chosen, form)
    return 0


def _print(study: "Study", chosen: "Pick", form: str) -> None:
    from pareto.cli._output import (
        judgement_line,
        judgement_summary,
        print_csv,
        print_json,
        result_console,
        validated_line,
    )
    from pareto.results.empty_selection import MARK, MEANING, selects_nothing
    from pareto.results.records import trial_row, trial_summary

    if form == "json":
        summary, method = trial_summary(chosen.trial), study.definition["method"]
        print_json(
            {
                "study": study.name,
                "method": method["name"],
                "fixed": {key: value for key, value in method.items() if key != "name"},
                **{key: summary[key] for key in ("number", "params", "values", "metrics", "flags")},
                "requirements": [judgement_summary(judgement) for judgement in chosen.judgements],
                "why": chosen.why,
                "replay": _replay_command(study, chosen),
                "validation": study.validation(chosen.trial.number),
                "ceiling": study.reference.get("ceiling"),
            }
        )
        return
    if form == "csv":
        print_csv([trial_row(chosen.trial, study.marks())])
        return
    metrics, validation = chosen.trial.metrics, study.validation(chosen.trial.number)
    lines = [
        chosen.why,
        f"  TA {metrics['ta']:.2f} %, FRM {metrics['frm']:.3f}"
        f" (ceiling {study.reference['ceiling']:.3f}), RTE {metrics['rte']:.3f} s"
        f" (retraining {study.reference['seconds']:.3f} s)",
        f"  FA {metrics['fa']:.2f} % ({metrics['fa_gap']:+.2f} to retraining),"
        f" RA {metrics['ra']:.2f} % ({metrics['ra_gap']:+.2f}),"
        f" MIA {metrics['mia']:.2f} % ({metrics['mia_gap']:+.2f})",
        *([f"  {MARK}: {MEANING}"] if selects_nothing(metrics) else []),
        *(f"  {judgement_line(judgement)}" for judgement in chosen.judgements),
        "  " + ", ".join(f"{name}={value}" for name, value in chosen.trial.params.items()),
        f"Replay it, and see it on data the search never saw: {_replay_command(study, chosen)}"
        if validation is None
        else validated_line(validation),
        f"Carry out a request with it: {_apply_command(study, chosen)}",
    ]
    for line in lines:
        result_console.print(line, soft_wrap=True)


def _replay_command(study: "Study", chosen: "Pick") -> str:
    return study_command("validate", study.name, study.storage, "--trial", chosen.trial.number)


def _apply_command(study: "Study", chosen: "Pick") -> str:
    number = chosen.trial.number
    return study_command("apply", study.name, study.storage, "--trial", number, "--forget", "FILE")


def explain(failure: "NothingSatisfies", study: "Study") -> None:
    """Say why no trial will do, and which comes nearest."""
    from pareto.cli._output import judgement_line

    binding = failure.binding
    best = binding.best
    if math.isnan(best.slack):
        reach = "it has a value in no trial: it divides by zero, or is too large for a number"
    else:
        reach = (
            f"its best value is {best.left:.4g} against {best.right:.4g}, in trial"
            f" {binding.best_trial}; {binding.satisfying} trial(s) satisfy it alone"
        )
    lines = [
        f"error: no trial satisfies every requirement; {best.requirement.text!r} binds",
        reach,
        f"nearest is trial {failure.nearest.number}:",
        *(f"  {judgement_line(judgement)}" for judgement in failure.judgements),
        _remedy(failure, study),
    ]
    print("\n".join(lines), file=sys.stderr)


def _remedy(failure: "NothingSatisfies", study: "Study") -> str:
    best, ceiling = failure.binding.best, study.reference["ceiling"]
    if math.isnan(best.slack):
        return "write it in another way: no search can satisfy it"
    known = {**study.constants(), **failure.nearest.metrics}
    without, at_ceiling = {**known, "frm": 0.0}, {**known, "frm": ceiling}
    more_helps = best.requirement.slack(at_ceiling) > best.requirement.slack(without)
    if more_helps and not best.requirement.holds(at_ceiling):
        return f"relax it: retrained models have FRM {ceiling:.3f} themselves, the ceiling"
    if failure.binding.satisfying:
        return "relax one, or, unless they contradict each other, search on with a larger --budget"
    return "relax it, or search on with a larger --budget"
