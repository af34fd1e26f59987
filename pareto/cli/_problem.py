"""The problem that `--study`, `--seed` and `--data-dir` name."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies import Definition


def find_problem(study: str, storage: str, seed: int | None, data_dir: Path | None) -> "Definition":
    """The definition as the options change it."""
    from pareto.definitions import find_definition

    definition = find_definition(study, storage).with_data_dir(data_dir)
    return definition if seed is None else definition.model_copy(update={"seed": seed})
