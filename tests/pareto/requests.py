"""Folders as requests leave them: marked weights, and evidence beside them."""

import json
from pathlib import Path

import safetensors.torch
import torch

from pareto.preparation.earlier import EVIDENCE, MARK, WEIGHTS

INDEX_FILE = "1" * 64
"""The hash of a request's index file."""


def written(folder: Path, mark: str | None = INDEX_FILE, name: str = WEIGHTS) -> Path:
    """Weights in a folder, as a request leaves them or, without a mark, as others do."""
    folder.mkdir(exist_ok=True)
    metadata = None if mark is None else {MARK: mark}
    safetensors.torch.save_file({"weight": torch.ones(3)}, folder / name, metadata)
    return folder / name


def put(told: object, beside: Path) -> Path:
    file = beside.with_name(EVIDENCE)
    file.write_text(json.dumps(told))
    return file
