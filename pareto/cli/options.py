"""The options that several commands share."""

import shlex
from collections.abc import Callable
from typing import Any, TypeVar

import click

from pareto.storages import DEFAULT_URL, shown
from studies.defaults import WORKSPACE

F = TypeVar("F", bound=Callable[..., Any])


def storage_option(command: F) -> F:
    return click.option(
        "--storage",
        metavar="URL",
        default=DEFAULT_URL,
        show_default=True,
        envvar="PARETO_SEARCH_STORAGE",
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


def ray_address_option(command: F) -> F:
    return click.option(
        "--ray-address",
        metavar="ADDRESS",
        help="A running Ray cluster, or auto for this machine's [default: start one here].",
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


def study_command(command: str, study: str, storage: str, *more: object) -> str:
    """A command on a study, as the user can paste it into a shell."""
    words = ["pareto-search", command, "--study", study]
    if storage != DEFAULT_URL:
        words += ["--storage", shown(storage)]
    return shlex.join([*words, *map(str, more)])
