"""The options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pareto.commands import STORAGE_VARIABLE
from pareto.defaults import ENGINE, ENGINE_NAMES, MAX_FAILURES, PREFERENCES, STUDY, WORKSPACE
from pareto.storages import DEFAULT_URL

F = TypeVar("F", bound=Callable[..., Any])


def storage_option(command: F) -> F:
    return click.option(
        "--storage",
        metavar="URL",
        default=DEFAULT_URL,
        show_default=True,
        envvar=STORAGE_VARIABLE,
        show_envvar=True,
        help="Where studies are kept: sqlite:///FILE, journal:///FILE, or the URL of a database.",
    )(command)


def device_option(command: F) -> F:
    return click.option(
        "--device",
        metavar="NAME",
        default="auto",
        show_default=True,
        help="auto, cpu, cuda or cuda:N; auto is every GPU there is, else the CPU.",
    )(command)


def workspace_option(command: F) -> F:
    return click.option(
        "--workspace",
        metavar="PLACE",
        default=WORKSPACE,
        show_default=True,
        help="Folder or URL (s3://…, gs://…) for what is computed once per study.",
    )(command)


def data_dir_option(command: F) -> F:
    return click.option(
        "--data-dir",
        metavar="FOLDER",
        type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
        help="Where data sets are looked for and downloaded to [default: the definition's].",
    )(command)


def ray_address_option(command: F) -> F:
    return click.option(
        "--ray-address",
        metavar="ADDRESS",
        help="A running Ray cluster, or auto for this machine's [default: start one here].",
    )(command)


def engine_options(command: F) -> F:
    """Where trials run: the engine's name, and the other fields of `EngineSettings`."""
    options = (
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
    for option in reversed(options):  # as decorators one above the other
        command = option(command)
    return command


def requirement_options(command: F) -> F:
    """What a trial has to satisfy; see `pareto.cli._policy.stated`."""
    options = (
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
    for option in reversed(options):
        command = option(command)
    return command


def prefer_option(command: F) -> F:
    return click.option(
        "--prefer",
        type=click.Choice(PREFERENCES),
        default="knee",
        show_default=True,
        help="What decides among the points that satisfy everything.",
    )(command)


def max_failures_option(command: F) -> F:
    return click.option(
        "--max-failures",
        type=click.IntRange(min=1),
        default=MAX_FAILURES,
        show_default=True,
        help="Stop after this many failed trials in a row.",
    )(command)


def seed_option(command: F) -> F:
    return click.option(
        "--seed",
        type=click.IntRange(0, 2**63 - 1),
        help="Of everything random [default: the definition's].",
    )(command)


def definition_option(command: F) -> F:
    return click.option(
        "--study",
        metavar="NAME",
        default=STUDY,
        show_default=True,
        help="A built-in definition, a definition file (.toml), or a persisted study.",
    )(command)


def quiet_option(command: F) -> F:
    return click.option("--quiet", is_flag=True, help="No progress and no hints.")(command)


def persisted_study_option(command: F) -> F:
    return click.option(
        "--study",
        metavar="NAME",
        help="The study's name; may be left out if the storage holds one only.",
    )(command)


def format_option(command: F) -> F:
    return click.option(
        "--format",
        "form",
        type=click.Choice(["table", "json", "csv"]),
        default="table",
        show_default=True,
        help="JSON and CSV go to standard output alone.",
    )(command)
