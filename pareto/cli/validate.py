"""`pareto-search validate`: run a chosen trial again, and on data that the search never saw."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pareto.cli._options import (
    data_dir_option,
    device_option,
    format_option,
    persisted_study_option,
    quiet_option,
    requirement_options,
    storage_option,
    workspace_option,
)
from pareto.cli._policy import stated
from pareto.cli.pick import NOTHING_SATISFIES
from pareto.garbage import nothing_collected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pareto.choice.pick import Judgement
    from pareto.choice.validation import Validation


@click.command(
    epilog="""\b
Examples:
  pareto-search validate --trial 51
  pareto-search validate --study digits --trial 51 --repeats 10 --format json
  pareto-search validate --trial 51 --require "frm >= 0.6"
"""
)
@persisted_study_option
@click.option("--trial", type=click.IntRange(min=0), required=True, help="The trial's number.")
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Fresh runs on the half of the test data that the search has not seen.",
)
@requirement_options
@data_dir_option
@storage_option
@workspace_option
@device_option
@format_option
@quiet_option
def validate(
    study: str | None,
    trial: int,
    repeats: int,
    require: tuple[str, ...],
    policy: Path | None,
    data_dir: Path | None,
    storage: str,
    workspace: str,
    device: str,
    form: str,
    quiet: bool,
) -> int:
    """Replay a trial with its own seed, then repeat it with fresh seeds on untouched test data.

    The figures of a search are the best of many on the data they were chosen by; these are not.
    Exit code 3 if the mean of the repeats does not satisfy every requirement.
    """
    from pareto.choice.requirements import parse_all
    from pareto.study import CONSTANTS, open_study

    conditions = stated(require, policy)
    opened = open_study(study, storage)  # a wrong name is said at once, before torch is loaded

    with nothing_collected():
        from pareto.choice.validation import validate as run_again
        from pareto.cli._output import judgement_summary, nothing_printed, print_csv, print_json
        from pareto.cli._progress import ProgressDisplay

    requirements = parse_all(conditions, opened.complete_trial(trial).metrics.keys() | CONSTANTS)
    with nothing_printed():
        result = run_again(
            opened,
            trial,
            repeats=repeats,
            device=device,
            workspace=workspace,
            data_dir=data_dir,
            announce=ProgressDisplay(quiet).announce,
        )
    judgements = result.judge(requirements)
    if form == "json":
        judged = [judgement_summary(judgement) for judgement in judgements]
        print_json({**result.as_dict(), "requirements": judged})
    elif form == "csv":
        print_csv(result.as_dict()["repeats"])
    else:
        _print(result, judgements)
    return 0 if all(judgement.holds for judgement in judgements) else NOTHING_SATISFIES


def _print(result: "Validation", judgements: "Sequence[Judgement]") -> None:
    from pareto.cli._output import (
        add_figure_columns,
        attack_lines,
        degenerate_lines,
        figure_cells,
        judgement_line,
        plain_table,
        result_console,
    )
    from pareto.results.empty_selection import empty_lines

    table = plain_table(f"trial {result.number}")
    table.add_column("")
    add_figure_columns(table)
    for label, metrics in (
        ("as found, on the search half", result.found),
        ("replayed with its seed", result.replayed),
        (f"fresh repeats on the report half, mean of {len(result.repeats)}", result.mean()),
        ("± standard deviation", result.sd()),
        ("retrained models on the report half", result.retrained),
    ):
        if metrics is not None:
            table.add_row(label, *figure_cells(metrics))
    result_console.print(table)
    names = "TA and FRM" if result.timed else "every objective"
    same = f"reproduces {names} bit for bit" if result.reproduced else "differs (see above)"
    result_console.print(
        f"The replay {same}. Ceiling on the report half: FRM {result.reference.ceiling:.3f}.",
    )
    for line in (
        *empty_lines({f"trial {result.number}": result.repeats}),
        *attack_lines([run.as_dict() for run in result.reference.runs]),
        *degenerate_lines(result.retrained),
    ):
        result_console.print(line)
    for judgement in judgements:
        result_console.print(f"{judgement_line(judgement)} (mean of the fresh repeats)")
