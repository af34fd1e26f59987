"""Commands of this program, as users can paste them into a shell."""

import os
import shlex

from pareto.storages import DEFAULT_URL
from pareto.urls import shown

STORAGE_VARIABLE = "PARETO_SEARCH_STORAGE"


def study_command(command: str, study: str, storage: str, *more: object) -> str:
    """A command on a study.

    Args:
        command: empty for the search.
        storage: its URL; left out if the program looks there by itself. For one with a password
            stands `URL`.
    """
    words = ["pareto-search", *command.split(), "--study", study]
    if storage != os.environ.get(STORAGE_VARIABLE, DEFAULT_URL):
        words += ["--storage", storage if shown(storage) == storage else "URL"]
    return shlex.join([*words, *map(str, more)])
