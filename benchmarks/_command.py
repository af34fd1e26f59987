"""What every benchmark can be told, and how one runs alone."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import optuna
from platformdirs import user_cache_path

from benchmarks._report import Row, machine, save, show


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        quick: with sizes that take a minute or two, and say less.
        images: a folder of images, `train/<class>/*` and `test/<class>/*`; None leaves out what
            needs them.
        device: where networks run.
        workspace: keeps what is prepared, for the next time.
    """

    quick: bool = False
    images: Path | None = None
    device: str = "cpu"
    workspace: Path = user_cache_path("pareto-search") / "benchmarks"


Measure = Callable[[Settings], Iterator[Row]]
"""A benchmark: yields rows as they are measured."""


def parser_of(name: str, doc: str) -> argparse.ArgumentParser:
    """Of `python -m benchmarks.<name>`.

    Args:
        doc: the module's; its first line is shown as help.
    """
    return argparse.ArgumentParser(prog=f"benchmarks.{name}", description=doc.splitlines()[0])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All `Settings`, and `--json`."""
    parser.add_argument("--quick", action="store_true", help="smaller sizes: minutes in all")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="images as train/<class>/* and test/<class>/*, such as CIFAR-10's",
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    parser.add_argument(
        "--workspace",
        type=Path,
        default=Settings.workspace,
        metavar="FOLDER",
        help="keeps what is prepared for the next time (default: %(default)s)",
    )
    add_json_argument(parser)


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")


def settings(chosen: argparse.Namespace) -> Settings:
    """Of parsed arguments."""
    return Settings(chosen.quick, chosen.images, chosen.device, chosen.workspace)


def run(benchmarks: Mapping[str, Iterable[Row]], json: Path | None) -> None:
    """Run benchmarks one after the other, tell of each row at once, and then show all of them.

    Args:
        benchmarks: their rows by name, measured as they are asked for.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    about = machine()
    rows: dict[str, list[Row]] = {}
    for name, measured in benchmarks.items():
        rows[name] = []
        for row in measured:
            print(f"{name}: {row.what}: {row.median:.4g} {row.unit}", file=sys.stderr, flush=True)
            rows[name].append(row)
    show(rows, about)
    if json is not None:
        save(rows, about, json)


def main(name: str, doc: str, measure: Measure) -> None:
    """What `python -m benchmarks.<name>` does.

    Args:
        doc: the module's.
    """
    parser = parser_of(name, doc)
    add_arguments(parser)
    chosen = parser.parse_args()
    run({name: measure(settings(chosen))}, chosen.json)
