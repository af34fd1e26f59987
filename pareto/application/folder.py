"""The folder that a request's weights and evidence are left in, and those beside it."""

import json
from pathlib import Path

from pareto.preparation.earlier import EVIDENCE, WEIGHTS, mark_of
from unlearn.errors import InputError


def check_folder(folder: Path, index_file_sha256: str) -> None:
    """Make sure that nothing is overwritten but what the same request, interrupted, has left.

    Raises:
        InputError: the folder holds evidence, or other weights, or cannot be looked into.
    """
    remedy = "name another folder with --out"
    try:
        unfinished = mark_of(folder / WEIGHTS) == index_file_sha256
        for name, ours in ((EVIDENCE, False), (WEIGHTS, unfinished)):
            if (folder / name).exists() and not ours:
                raise InputError(f"{folder} holds another {name} already", remedy)
    except OSError as error:
        raise InputError(f"cannot look into {folder}: {error.strerror}", remedy) from None


def other_requests(folder: Path, original_sha256: str) -> list[Path]:
    """The folders beside this one that hold what other requests have made of the same weights.

    Args:
        original_sha256: of the tensors of these weights, as evidence has it.
    """
    found = []
    for file in sorted(folder.absolute().parent.glob(f"*/{EVIDENCE}")):
        try:
            told = json.loads(file.read_bytes())["weights"]["before"]["tensors_sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # whatever it is, it is no evidence of ours
        if told == original_sha256 and file.parent != folder.absolute():
            found.append(file.parent)
    return found
