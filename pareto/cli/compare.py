"""`pareto-search compare`: methods on equal terms, as in the paper's tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pareto.cli._experiments import end, experiment_options, perform
from pareto.cli._problem import find_problem
from pareto.defaults import CONTESTANTS
from pareto.garbage import nothing_collected

if TYPE_CHECKING:
    from rich.table import Table

    from pareto.experiments.comparison import Comparison, Row


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
        from pareto.cli._output import attack_lines, print_csv, print_json, result_console
        from pareto.cli._progress import ProgressDisplay
        from pareto.experiments.arms import arm_of_method, arm_of_trial
        from pareto.experiments.comparison import (
            comparison_summary,
            refuse_chosen_by_report,
            tabulate,
        )
        from pareto.experiments.experiment import experiment_name
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
    if results.repeats:
        comparison = tabulate(labels, results)
        if form == "json":
            print_json(comparison_summary(comparison))
        elif form == "csv":
            print_csv(comparison.table())
        else:
            result_console.print(_table(comparison))
            result_console.print(
                "In brackets: difference to the retrained models. Their FRM is the ceiling, above"
                " which nothing can be told from retraining.",
            )
            for line in attack_lines(comparison.retrained.runs):
                result_console.print(line)
        display.announce_files(lambda: write_comparison(comparison, folder))
    end(results, labels)


def _table(comparison: "Comparison") -> "Table":
    """With the gaps to the retrained models, where they find room."""
    from pareto.cli._output import fits

    table = _table_of(comparison, with_gaps=True)
    return table if fits(table) else _table_of(comparison, with_gaps=False)


def _table_of(comparison: "Comparison", with_gaps: bool) -> "Table":
    from pareto.cli._output import mean_cell, plain_table

    repeats = comparison.retrained.repeats
    table = plain_table(f"{comparison.name}: mean ± standard deviation of {repeats} repeat(s)")
    table.add_column("method", no_wrap=True)
    for column in (
        *("TA %\n↑", "FA %\n", "RA %\n", "MIA %\n"),
        *("FRM of\nmeans ↑", "mean FRM\n↑", "RTE s\n↓", "RTE /\nretrain"),
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for row in comparison.lines:
        label = row.label if row.repeats == repeats else f"{row.label} ({row.repeats} of {repeats})"
        percents = [_percent(row, name, with_gaps) for name in ("ta", "fa", "ra", "mia")]
        table.add_row(
            label,
            *percents,
            "" if row.frm_of_means is None else f"{row.frm_of_means:.3f}",
            mean_cell(row.mean, row.sd, "frm", ".3f"),
            mean_cell(row.mean, row.sd, "rte", ".3f"),
            "" if row.rte_share is None else f"{row.rte_share:.3f}",
            end_section=row is comparison.original,
        )
    return table


def _percent(row: "Row", name: str, with_gap: bool) -> str:
    from pareto.cli._output import mean_cell

    gap = f" ({row.gap[name]:+.2f})" if with_gap and name in row.gap else ""
    return mean_cell(row.mean, row.sd, name, ".2f") + gap
