"""`pareto-search show`: one study's front, or two studies against each other."""

from typing import TYPE_CHECKING

import click

from pareto.cli._options import format_option, persisted_study_option, storage_option

if TYPE_CHECKING:
    from pareto.study import Study


@click.command(
    epilog="""\b
Examples:
  pareto-search show
  pareto-search show --study digits --format json
  pareto-search show --study digits --against digits-ft
"""
)
@persisted_study_option
@click.option(
    "--against",
    metavar="NAME",
    help="Another study of the same problem: compare the two, and draw both.",
)
@storage_option
@format_option
def show(study: str | None, against: str | None, storage: str, form: str) -> None:
    """Show a study's Pareto front, with the knee and the extremes marked.

    As JSON: all trials. As CSV: the front.

    With --against, show two studies side by side, and write a picture of both fronts to the folder
    of the first.
    """
    from pareto.study import open_study

    shown = open_study(study, storage)
    if against is None:
        print_study(shown, form)
    else:
        _show_against(shown, open_study(against, storage), form)


def _show_against(study: "Study", other: "Study", form: str) -> None:
    from pareto.cli._head_to_head import print_head_to_head
    from pareto.cli._progress import ProgressDisplay
    from pareto.results.export import results_folder, write_against
    from pareto.results.head_to_head import compare_fronts

    compared = compare_fronts(study, other)
    folder = results_folder(study.name)
    print_head_to_head(compared, form)
    ProgressDisplay(quiet=False).announce_files(lambda: [write_against(study, other, folder)])


def print_study(study: "Study", form: str) -> None:
    """Print a study in one of the formats."""
    from pareto.cli._output import (
        front_table,
        print_csv,
        print_json,
        result_console,
        study_lines,
    )
    from pareto.results.records import study_summary, trial_row

    if form == "json":
        print_json(study_summary(study))
    elif form == "csv":
        marks = study.marks()
        print_csv([trial_row(trial, marks) for trial in study.front()])
    else:
        result_console.print(front_table(study))
        for line in study_lines(study):
            result_console.print(line)
