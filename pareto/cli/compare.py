"""`pareto-search compare`: methods on equal terms, as in the paper's tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pareto.cli._experiments import ending, experiment_options, perform
from pareto.cli._problem import find_problem
from pareto.defaults import CONTESTANTS
from pareto.garbage import nothing_collected

if TYPE_CHECKING:
    from rich.table import Table

    from pareto.experiments.comparison import Comparison


@click.command(
    epilog="""\b
Examples:
  pareto-search compare
  pareto-search compare --study mine.toml --repeats 10 --method conmu --method ft+omp
  pareto-search compare --method retrain --trial digits:141 --trial digits-ft:52
"""
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    help="Who takes part; may be repeated; +omp prunes first [default, without --trial:"
    f" {', '.join(CONTESTANTS)}].",
)
@click.option(
    "--trial",
    "trials",
    multiple=True,
    metavar="STUDY:NUMBER",
    help="A configuration that a search has found takes part; may be repeated.",
)
@experiment_options
def compare(
    methods: tuple[str, ...],
    trials: tuple[str, ...],
    study: str,
    seed: int | None,
    data_dir: Path | None,
    storage: str,
    form: str,
    quiet: bool,
    **flags: Any,
) -> None:
    """Compare unlearning methods on one definition: mean ± standard deviation over repeats.

    Every repeat has a seed of its own, and with it a request, an original model and a retrained
    reference. Scored on the half of the test data that no search has seen; the cost is the
    stopwatch's. Run again, or after a crash, it goes on from where the storage stands.
    """
    from pareto import storages

    storages.exists(storage)  # a wrong URL is said at once, before torch is loaded

    with nothing_collected():
        from pareto.cli._output import (
            attack_lines,
            degenerate_lines,
            print_csv,
            print_json,
            result_console,
        )
        from pareto.cli._progress import ProgressDisplay
        from pareto.experiments.arms import arm_of_method, arm_of_trial
        from pareto.experiments.comparison import (
            comparison_summary,
            refuse_chosen_by_report,
            tabulate,
        )
        from pareto.experiments.experiment import experiment_name
        from pareto.results.empty_selection import empty_lines
        from pareto.results.export import results_folder, write_comparison

    definition = find_problem(study, storage, seed, data_dir)
    named = methods or (() if trials else CONTESTANTS)
    labels, arms = [*named, *trials], [arm_of_method(name, definition) for name in named]
    for text in trials:
        arm, searched = arm_of_trial(text, storage)
        refuse_chosen_by_report(definition, searched, text)
        arms.append(arm)
    display = ProgressDisplay(quiet)
    folder = results_folder(experiment_name(definition, "comparison"))
    results = perform(definition, "comparison", arms, display, storage=storage, **flags)
    with ending(results, labels):
        if not results.repeats:
            return
        comparison = tabulate(labels, results)
        display.announce_files(lambda: write_comparison(comparison, folder))
        if form == "json":
            print_json(comparison_summary(comparison))
        elif form == "csv":
            print_csv(comparison.table())
        else:
            table, has_gaps = _table(comparison)
            result_console.print(table)
            result_console.print(
                f"{'In brackets: difference to the retrained models. ' if has_gaps else ''}The FRM"
                " of retrained models is the ceiling, above which nothing can be told from"
                " retraining.",
            )
            for line in (
                *attack_lines(comparison.retrained.runs),
                *degenerate_lines(comparison.retrained.mean),
                *empty_lines({row.label: row.runs for row in comparison.rows}),
            ):
                result_console.print(line)


def _table(comparison: "Comparison") -> tuple["Table", bool]:
    """With gaps to the retrained models, and with deviations and the FRM of means, where they find
    room; and whether it has the gaps."""
    from pareto.cli._output import fits

    for gaps, deviations in ((True, True), (False, True), (False, False)):
        table = _table_of(comparison, gaps, deviations)
        if fits(table):
            break
    return table, gaps


def _table_of(comparison: "Comparison", gaps: bool, deviations: bool) -> "Table":
    from pareto.cli._output import mean_cell, plain_table

    repeats = comparison.retrained.repeats
    shown = "mean ± standard deviation" if deviations else "mean"
    table = plain_table(f"{comparison.name}: {shown} of {repeats} repeat(s)")
    table.add_column("method", no_wrap=True)
    for column in (
        *("TA %\n↑", "FA %\n", "RA %\n", "MIA %\n"),
        *(["FRM of\nmeans ↑"] if deviations else []),
        *("mean FRM\n↑", "RTE s\n↓", "RTE /\nretrain"),
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for row in comparison.lines:
        label = row.label if row.repeats == repeats else f"{row.label} ({row.repeats} of {repeats})"
        sd = row.sd if deviations else {}
        percents = [
            mean_cell(row.mean, sd, name, ".2f")
            + (f" ({row.gap[name]:+.2f})" if gaps and name in row.gap else "")
            for name in ("ta", "fa", "ra", "mia")
        ]
        table.add_row(
            label,
            *percents,
            *([_known(row.frm_of_means)] if deviations else []),
            mean_cell(row.mean, sd, "frm", ".3f"),
            mean_cell(row.mean, sd, "rte", ".3f"),
            _known(row.rte_share),
            end_section=row is comparison.original,
        )
    return table


def _known(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
