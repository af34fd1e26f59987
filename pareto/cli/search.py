"""`pareto-search` without a command: search."""

from pathlib import Path
from typing import Any

import click

from pareto.cli._options import (
    data_dir_option,
    definition_option,
    engine_options,
    format_option,
    max_failures_option,
    quiet_option,
    requirement_options,
    seed_option,
    storage_option,
    workspace_option,
)
from pareto.cli._policy import stated
from pareto.cli._problem import find_problem
from pareto.commands import study_command
from pareto.defaults import BUDGET, EngineName
from pareto.garbage import nothing_collected
from studies.names import DEFAULT_SAMPLER, METHOD_NAMES, SAMPLER_NAMES


@click.command(
    epilog="""\b
Examples:
  pareto-search --budget 200
  pareto-search --study digits-class --budget 100
  pareto-search --require "frm >= 0.7" --require "rte <= 0.5 * retrain_rte"
  pareto-search --method ft --budget 200
  pareto-search --study mine.toml --sampler nsga2 --workers 4 --format json
  pareto-search --engine ray --ray-address auto --gpus-per-trial 0.5
"""
)
@definition_option
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    default=BUDGET,
    show_default=True,
    help="Complete trials in total, over the study's life.",
)
@click.option(
    "--method",
    type=click.Choice(METHOD_NAMES),
    help="Search another method on the same problem, as the study NAME-METHOD.",
)
@data_dir_option
@storage_option
@workspace_option
@engine_options
@click.option(
    "--sampler",
    type=click.Choice(SAMPLER_NAMES),
    help=f"How parameters are proposed [default: the definition's, or {DEFAULT_SAMPLER}].",
)
@requirement_options
@seed_option
@max_failures_option
@format_option
@quiet_option
def search(
    study: str,
    budget: int,
    method: str | None,
    data_dir: Path | None,
    storage: str,
    workspace: str,
    sampler: str | None,
    require: tuple[str, ...],
    policy: Path | None,
    seed: int | None,
    max_failures: int,
    form: str,
    quiet: bool,
    engine: EngineName,
    **on: Any,
) -> None:
    """Bring a study to a number of complete trials, and show its Pareto front.

    Run again, or after a crash, it goes on from where the storage stands. Told of requirements, it
    looks for trials that satisfy them; the front is shown whole.
    """
    from pareto import storages

    conditions = stated(require, policy)
    storages.exists(storage)  # a wrong URL is said at once, before torch is loaded

    with nothing_collected():
        from pareto.cli._output import nothing_printed
        from pareto.cli._progress import ProgressDisplay
        from pareto.cli.show import print_study
        from pareto.results.export import results_folder, write_reports
        from pareto.search_loop import search as run_search

    definition = find_problem(study, storage, seed, data_dir)
    if method is not None:
        definition = definition.with_method(method)
    if sampler is not None:
        definition = definition.model_copy(update={"sampler": sampler})
    folder = results_folder(definition.name)
    display = ProgressDisplay(quiet)
    with nothing_printed(), display.shown():
        result = run_search(
            definition,
            budget,
            require=conditions,
            storage=storage,
            workspace=workspace,
            engine=engine,
            max_failures=max_failures,
            announce=display.announce,
            on_progress=display.update,
            **on,
        )
    interrupted = len(result.complete()) < budget
    try:
        if result.complete():
            display.announce_files(lambda: write_reports(result, folder))
            print_study(result, form)
    except OSError:  # nobody reads what is printed, or there is no room for it
        if not interrupted:
            raise
    if interrupted:
        raise KeyboardInterrupt
    wanted = [word for text in conditions for word in ("--require", text)]
    highest = max(trial.metrics["frm"] for trial in result.complete())
    if not wanted and min(highest, result.reference["ceiling"]) >= 0.6:
        wanted = ["--require", "frm >= 0.6"]
    prefer = ("--prefer", "ta" if wanted else "knee")
    hint = study_command("pick", definition.name, storage, *wanted, *prefer)
    display.announce(f"next: {hint}")
