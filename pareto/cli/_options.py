"""The options that several commands share, as decorators."""

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from pareto.commands import STORAGE_VARIABLE
from pareto.defaults import ENGINE, ENGINE_NAMES, MAX_FAILURES, PREFERENCES, STUDY, WORKSPACE
from pareto.storages import DEFAULT_URL

F = TypeVar("F", bound=Callable[..., Any])


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Options as one, in the order in which a help text lists them."""
    return lambda command: reduce(lambda inner, option: option(inner), reversed(options), command)


storage_option = click.option(
    "--storage",
    metavar="URL",
    default=DEFAULT_URL,
    show_default=True,
    envvar=STORAGE_VARIABLE,
    show_envvar=True,
    help="Where studies are kept: sqlite:///FILE, journal:///FILE, or the URL of a database.",
)

device_option = click.option(
    "--device",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda or cuda:N; auto is every GPU there is, else the CPU.",
)

workspace_option = click.option(
    "--workspace",
    metavar="PLACE",
    default=WORKSPACE,
    show_default=True,
    help="Folder or URL (s3://…, gs://…) for what is computed once per study.",
)

data_dir_option = click.option(
    "--data-dir",
    metavar="FOLDER",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    help="Where data sets are looked for and downloaded to [default: the definition's].",
)

ray_address_option = click.option(
    "--ray-address",
    metavar="ADDRESS",
    help="A running Ray cluster, or auto for this machine's [default: start one here].",
)

# Where trials run: the engine's name, and the other fields of `EngineSettings`.
engine_options = together(
    click.option(
        "--engine",
        type=click.Choice(ENGINE_NAMES),
        default=ENGINE,
        show_default=True,
        help="Where trials run: on this machine, or with Ray.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Trials at a time [default: GPUs or cores; one core if the stopwatch counts].",
    ),
    device_option,
    ray_address_option,
    click.option(
        "--cpus-per-trial",
        type=click.FloatRange(min=0, min_open=True),
        help="Cores that Ray reserves for a trial [default: 1].",
    ),
    click.option(
        "--gpus-per-trial",
        type=click.FloatRange(min=0),
        help="GPUs, or share of one, that Ray reserves for a trial [default: 1 if any].",
    ),
)

# What a trial has to satisfy; see `pareto.cli._policy.stated`.
requirement_options = together(
    click.option(
        "--require",
        multiple=True,
        metavar="CONDITION",
        help="What a trial has to satisfy; may be repeated.",
    ),
    click.option(
        "--policy", type=click.Path(path_type=Path), help="A TOML file of named requirements."
    ),
)

prefer_option = click.option(
    "--prefer",
    type=click.Choice(PREFERENCES),
    default="knee",
    show_default=True,
    help="What decides among the points that satisfy everything.",
)

max_failures_option = click.option(
    "--max-failures",
    type=click.IntRange(min=1),
    default=MAX_FAILURES,
    show_default=True,
    help="Stop after this many failed trials in a row.",
)

seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    help="Of everything random [default: the definition's].",
)

definition_option = click.option(
    "--study",
    metavar="NAME",
    default=STUDY,
    show_default=True,
    help="A built-in definition, a definition file (.toml), or a persisted study.",
)

persisted_study_option = click.option(
    "--study",
    metavar="NAME",
    help="The study's name; may be left out if the storage holds one only.",
)

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="JSON and CSV go to standard output alone.",
)

quiet_option = click.option("--quiet", is_flag=True, help="No progress and no hints.")
