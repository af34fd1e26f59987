"""`pareto-search show`: one study's front."""

from typing import TYPE_CHECKING

import click

from pareto.cli.options import format_option, persisted_study_option, storage_option

if TYPE_CHECKING:
    from pareto.study import Study


@click.command(
    epilog="""\b
Examples:
  pareto-search show
  pareto-search show --study digits --format json
"""
)
@persisted_study_option
@storage_option
@format_option
def show(study: str | None, storage: str, form: str) -> None:
    """Show a study's Pareto front, with the knee and the extremes marked.

    As JSON: all trials. As CSV: the front.
    """
    from pareto.study import open_study

    print_study(open_study(study, storage), form)


def print_study(study: "Study", form: str) -> None:
    """Print a study in one of the formats."""
    from pareto.cli.output import (
        front_table,
        print_csv,
        print_json,
        result_console,
        study_lines,
    )
    from pareto.records import study_summary, trial_row

    if form == "json":
        print_json(study_summary(study))
    elif form == "csv":
        marks = study.marks()
        print_csv([trial_row(trial, marks) for trial in study.front()])
    else:
        result_console.print(front_table(study))
        for line in study_lines(study):
            result_console.print(line, highlight=False)
