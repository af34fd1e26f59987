"""`pareto-search` without a command: search."""

from pathlib import Path

import click

from pareto.cli.options import (
    device_option,
    format_option,
    quiet_option,
    ray_address_option,
    storage_option,
    study_command,
    workspace_option,
)
from studies import defaults
from studies.defaults import EngineName
from unlearn.errors import InputError


@click.command(
    epilog="""\b
Examples:
  pareto-search --budget 200
  pareto-search --study digits-class --budget 100
  pareto-search --study mine.toml --sampler nsga2 --workers 4 --format json
  pareto-search --engine ray --ray-address auto --gpus-per-trial 0.5
"""
)
@click.option(
    "--study",
    metavar="NAME",
    default=defaults.STUDY,
    show_default=True,
    help="A built-in definition, a definition file (.toml), or a persisted study.",
)
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    default=defaults.BUDGET,
    show_default=True,
    help="Complete trials in total, over the study's life.",
)
@storage_option
@workspace_option
@click.option(
    "--engine",
    type=click.Choice(defaults.ENGINE_NAMES),
    default=defaults.ENGINE,
    show_default=True,
    help="Where trials run: on this machine, or with Ray.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Trials at a time [default: GPUs or cores]."
)
@device_option
@ray_address_option
@click.option(
    "--cpus-per-trial",
    type=click.FloatRange(min=0, min_open=True),
    help="Cores that Ray reserves for a trial [default: 1].",
)
@click.option(
    "--gpus-per-trial",
    type=click.FloatRange(min=0),
    help="GPUs, or share of one, that Ray reserves for a trial [default: 1 if there are any].",
)
@click.option(
    "--sampler",
    type=click.Choice(defaults.SAMPLER_NAMES),
    help="How parameters are proposed [default: the definition's, or tpe].",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="Of everything random [default: the definition's].",
)
@click.option(
    "--max-failures",
    type=click.IntRange(min=1),
    default=defaults.MAX_FAILURES,
    show_default=True,
    help="Stop after so many failed trials in a row.",
)
@format_option
@quiet_option
def search(
    study: str,
    budget: int,
    storage: str,
    workspace: str,
    engine: EngineName,
    workers: int | None,
    device: str,
    ray_address: str | None,
    cpus_per_trial: float | None,
    gpus_per_trial: float | None,
    sampler: str | None,
    seed: int | None,
    max_failures: int,
    form: str,
    quiet: bool,
) -> None:
    """Bring a study to a number of complete trials, and show its Pareto front.

    Run again, or after a crash, it goes on from where the storage stands.
    """
    from pareto import storages

    storages.exists(storage)  # a wrong URL is said at once, before torch is loaded

    from pareto.cli.progress import ProgressDisplay
    from pareto.cli.show import print_study
    from pareto.export import write_reports
    from pareto.search_loop import find_definition
    from pareto.search_loop import search as run_search

    definition = find_definition(study, storage)
    overrides = {"sampler": sampler, "seed": seed}
    definition = definition.model_copy(
        update={key: value for key, value in overrides.items() if value is not None}
    )
    folder = Path(definition.name)
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"the results go to a folder {folder}, but that is a file", "move it out of the way"
        )
    display = ProgressDisplay(quiet)
    with display.shown():
        result = run_search(
            definition,
            budget,
            storage=storage,
            workspace=workspace,
            engine=engine,
            workers=workers,
            device=device,
            ray_address=ray_address,
            cpus_per_trial=cpus_per_trial,
            gpus_per_trial=gpus_per_trial,
            max_failures=max_failures,
            announce=display.announce,
            on_progress=display.update,
        )
    if result.complete():
        print_study(result, form)
        written = write_reports(result, folder)
        display.announce(f"wrote {', '.join(map(str, written))}")
    if len(result.complete()) < budget:
        raise KeyboardInterrupt
    hint = ("--require", "frm >= 0.6", "--prefer", "ta")
    display.announce(f"next: {study_command('pick', definition.name, storage, *hint)}")
