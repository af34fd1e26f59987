"""The options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pareto.storage import DEFAULT_URL

F = TypeVar("F", bound=Callable[..., Any])


def storage_option(command: F) -> F:
    return click.option(
        "--storage",
        metavar="URL",
        default=DEFAULT_URL,
        show_default=True,
        help="Where studies are kept: sqlite:///FILE.",
    )(command)


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
