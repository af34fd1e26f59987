"""Runs the benchmarks, and prints one table.

python -m benchmarks --quick
"""

import argparse
from importlib import import_module

from benchmarks._command import Measure, add_arguments, run, settings

NAMES = (
    "trial",
    "gpu",
    "preparation",
    "main_job",
    "overhead",
    "calibration",
    "big_study",
    "excerpt",
    "samplers",
)
"""Modules of this package, each with a function `measure`."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Run the benchmarks.")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument(
        "--only", action="append", choices=NAMES, metavar="NAME", help="may be repeated"
    )
    add_arguments(parser)
    chosen = parser.parse_args()
    modules = {name: import_module(f"benchmarks.{name}") for name in chosen.only or NAMES}
    if chosen.list:
        for name, module in modules.items():
            print(f"{name}: {(module.__doc__ or '').splitlines()[0]}")
        return
    measures: dict[str, Measure] = {name: module.measure for name, module in modules.items()}
    how = settings(chosen)
    run({name: measure(how) for name, measure in measures.items()}, chosen.json)


if __name__ == "__main__":
    main()
