"""`pareto-search sweep`: one parameter over a range, the rest fixed, as in the paper's Figure 3."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pareto.cli._experiments import ending, experiment_options, perform
from pareto.cli._problem import find_problem
from pareto.garbage import nothing_collected
from studies.names import METHOD_NAMES

if TYPE_CHECKING:
    from rich.table import Table

    from pareto.experiments.sweep import Sweep


@click.command(
    epilog="""\b
Examples:
  pareto-search sweep --vary alpha=0:10:6
  pareto-search sweep --vary keep=0.05,0.1,0.2,0.4,0.6,0.9 --set delta=1 --repeats 5
  pareto-search sweep --vary delta=0:8:9 --vary alpha=0,5,10
  pareto-search sweep --method ft --vary epochs=5:35:7

\b
keep stands in for ConMU's z-bounds: the share of the forgotten and of the retained samples that
symmetric bounds keep.
"""
)
@click.option(
    "--vary",
    multiple=True,
    required=True,
    metavar="NAME=VALUES",
    help="A parameter and its values, A,B,C or LOW:HIGH:COUNT; twice for a pair.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another parameter's value [default: what a search would try first].",
)
@click.option(
    "--trial",
    metavar="STUDY:NUMBER",
    help="A configuration that a search has found; the parameters are varied from there.",
)
@click.option(
    "--method",
    type=click.Choice(METHOD_NAMES),
    help="Whose parameters [default: the definition's method].",
)
@experiment_options
def sweep(
    vary: tuple[str, ...],
    settings: tuple[str, ...],
    trial: str | None,
    method: str | None,
    study: str,
    seed: int | None,
    data_dir: Path | None,
    storage: str,
    form: str,
    quiet: bool,
    **flags: Any,
) -> None:
    """Vary one parameter, or a pair, with the rest fixed: mean ± standard deviation over repeats,
    the rank correlation of each figure with the parameter, and a picture.

    Scored on the half of the test data that searches see; the cost is the stopwatch's. Run again,
    or after a crash, it goes on from where the storage stands.
    """
    from pareto import storages

    storages.exists(storage)  # a wrong URL is said at once, before torch is loaded

    with nothing_collected():
        from pareto.cli._output import print_csv, print_json, result_console
        from pareto.cli._progress import ProgressDisplay
        from pareto.experiments.arms import arm_of_trial
        from pareto.experiments.experiment import experiment_name
        from pareto.experiments.sweep import Sweep, arms, parse_setting, parse_sweep, sweep_summary
        from pareto.results.empty_selection import empty_lines
        from pareto.results.export import results_folder, write_sweep

    definition = find_problem(study, storage, seed, data_dir)
    definition = definition.with_method(method or definition.method["name"])
    swept = parse_sweep(vary)
    start = None if trial is None else arm_of_trial(trial, storage)[0]
    experiment = arms(definition, swept, dict(map(parse_setting, settings)), start)
    display = ProgressDisplay(quiet)
    folder = results_folder(experiment_name(definition, "sweep"))
    results = perform(definition, "sweep", experiment, display, storage=storage, **flags)
    found = Sweep.of(swept, results)
    with ending(results, [point.label for point in found.points]):
        if not results.repeats:
            return
        display.announce_files(lambda: write_sweep(found, folder))
        if form == "json":
            print_json(sweep_summary(found))
        elif form == "csv":
            print_csv(found.table())
        else:
            result_console.print(_table(found))
            result_console.print(_trend_table(found))
            for line in empty_lines({point.label: point.runs for point in found.points}):
                result_console.print(line)


def _table(found: "Sweep") -> "Table":
    from pareto.cli._output import FIGURE_FORMATS, add_figure_columns, mean_cell, plain_table

    table = plain_table(f"{found.name}: mean ± standard deviation of {found.repeats} repeat(s)")
    for levels in found.swept:
        table.add_column(levels.name, justify="right", no_wrap=True)
    table.add_column("runs\n", justify="right", no_wrap=True)
    add_figure_columns(table)
    for point in found.points:
        figures = [
            mean_cell(point.mean, point.sd, name, form) for name, form in FIGURE_FORMATS.items()
        ]
        at = (f"{value:g}" for value in point.at.values())
        table.add_row(*at, str(len(point.runs)), *figures)
    return table


def _trend_table(found: "Sweep") -> "Table":
    from pareto.cli._output import plain_table

    table = plain_table(f"Spearman's ρ with {found.swept[0].name}")
    for levels in found.swept[1:]:
        table.add_column(levels.name, justify="right", no_wrap=True)
    for column in ("", "of the levels' means (p)", "within repeats (p)"):
        table.add_column(column, justify="right", no_wrap=True)
    for trend in found.trends():
        table.add_row(
            *(f"{value:g}" for value in trend.beside.values()),
            trend.figure.upper(),
            _correlation(trend.of_means, trend.p_of_means),
            _correlation(trend.within_repeats, trend.p_within_repeats),
        )
    return table


def _correlation(value: float | None, p: float | None) -> str:
    return "none" if value is None else f"{value:+.2f} ({p:.2g})"
