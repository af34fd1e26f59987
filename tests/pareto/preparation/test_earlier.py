"""What is believed of the evidence beside weights."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from pareto.preparation.earlier import EVIDENCE, FORMAT, MARK, WEIGHTS, Earlier
from tests.pareto.requests import INDEX_FILE, put, written
from unlearn.datasets import Dataset, Samples
from unlearn.errors import InputError

DATA = "d" * 64

Told = dict[str, Any]


def told_of(weights: Path) -> Told:
    """Evidence of a second request, as far as a third one looks at it."""
    return {
        "format": FORMAT,
        "when": "2026-01-02T03:04:05+00:00",
        "asked": {
            "index_file_sha256": INDEX_FILE,
            "data_sha256": DATA,
            "training_samples": 10,
            "positions": [7, 9],
            "files": ["cat/7.png", "dog/9.png"],
        },
        "weights": {
            "after": {"file_sha256": hashlib.sha256(weights.read_bytes()).hexdigest()},
        },
        "chain": [{"evidence_sha256": "a" * 64}],
        "earlier_positions": [0, 3],
        "earlier_files": ["cat/0.png", "cat/3.png"],
        "data_changed": False,
    }


def data(files: list[str]) -> Dataset:
    """Images whose pixels tell files apart."""
    pixels = torch.tensor([sum(name.encode()) % 256 for name in files], dtype=torch.uint8)
    samples = Samples(pixels.view(-1, 1, 1, 1), torch.zeros(len(files), dtype=torch.int64))
    return Dataset(samples, samples, ("only",), tuple(files))


def test_what_came_before_is_read_from_the_evidence_beside_the_weights(tmp_path: Path) -> None:
    weights = written(tmp_path)
    file = put(told_of(weights), weights)
    earlier = Earlier.of(weights)
    assert (list(earlier.positions), earlier.data_sha256) == ([0, 3, 7, 9], DATA)
    assert earlier.data_changed is False
    assert earlier.links == [
        {"evidence_sha256": "a" * 64},
        {
            "when": "2026-01-02T03:04:05+00:00",
            "evidence_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "index_file_sha256": INDEX_FILE,
            "data_sha256": DATA,
            "forgotten": 2,
            "weights_file_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        },
    ]


def test_weights_are_known_under_another_name(tmp_path: Path) -> None:
    weights = written(tmp_path, name="production-7.safetensors")
    put(told_of(weights), weights)
    assert list(Earlier.of(weights).positions) == [0, 3, 7, 9]


@pytest.mark.parametrize("name", [WEIGHTS, "production-7.safetensors"])
def test_what_a_request_has_made_is_refused_without_its_evidence(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"has forgotten samples already, and no {EVIDENCE}"):
        Earlier.of(written(tmp_path, name=name))


def test_other_weights_have_been_through_nothing(tmp_path: Path) -> None:
    assert Earlier.of(written(tmp_path, mark=None)) == Earlier()
    theirs = written(tmp_path / "theirs", mark=None, name="model.safetensors")
    put({"evidence": "of somebody else's, about something else"}, theirs)
    assert Earlier.of(theirs) == Earlier()
    torch.save({"weight": torch.ones(3)}, theirs.with_suffix(".pt"))
    assert Earlier.of(theirs.with_suffix(".pt")) == Earlier()


def test_weights_that_were_changed_since_are_refused(tmp_path: Path) -> None:
    weights = written(tmp_path)
    put(told_of(weights), weights)
    for mark in (INDEX_FILE, None):  # whoever writes them anew may leave out the mark
        metadata = None if mark is None else {MARK: mark}
        safetensors.torch.save_file({"weight": torch.zeros(3)}, weights, metadata)
        with pytest.raises(InputError, match="speaks of other weights"):
            Earlier.of(weights)


def without(*path: str) -> Callable[[Told], object]:
    def remove(told: Told) -> object:
        *sections, key = path
        section = told
        for name in sections:
            section = section[name]
        del section[key]
        return told

    return remove


@pytest.mark.parametrize(
    "damage",
    [
        without("format"),
        without("when"),
        without("asked"),
        without("asked", "positions"),
        without("asked", "index_file_sha256"),
        without("asked", "data_sha256"),
        without("asked", "training_samples"),
        without("weights", "after"),
        without("chain"),
        without("earlier_positions"),
        without("earlier_files"),
        without("asked", "files"),
        without("data_changed"),
        lambda told: told | {"format": "pareto-search evidence, version 3"},
        lambda told: told | {"earlier_positions": ["3"]},
        lambda told: told | {"earlier_positions": [True]},
        lambda told: told | {"earlier_positions": [-1]},
        lambda told: told | {"earlier_positions": [10]},
        lambda told: told | {"earlier_positions": 3},
        lambda told: told | {"chain": "none"},
        lambda told: told | {"chain": [3]},
        lambda told: told | {"weights": []},
        lambda _told: [],
        lambda _told: None,
    ],
)
def test_evidence_that_is_not_whole_is_refused(
    damage: Callable[[Told], object], tmp_path: Path
) -> None:
    weights = written(tmp_path)
    put(damage(told_of(weights)), weights)
    with pytest.raises(InputError, match="is no evidence of ours, or damaged"):
        Earlier.of(weights)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"format": 1'])
def test_a_file_that_is_no_json_is_refused(content: bytes, tmp_path: Path) -> None:
    weights = written(tmp_path)
    weights.with_name(EVIDENCE).write_bytes(content)
    with pytest.raises(InputError, match="is no evidence of ours, or damaged"):
        Earlier.of(weights)


def test_evidence_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    weights = written(tmp_path)
    weights.with_name(EVIDENCE).mkdir()
    with pytest.raises(InputError, match=r"cannot read .*: Is a directory"):
        Earlier.of(weights)


def test_positions_mean_nothing_in_other_data_and_that_is_remembered() -> None:
    first, second = data(["cat/a.png"]), data(["cat/a.png", "cat/b.png"])
    earlier = Earlier([{}], [0], None, first.fingerprint)
    assert earlier.in_data(first) == earlier
    moved = earlier.in_data(second)
    assert (moved.links, list(moved.positions), moved.data_changed) == ([{}], [], True)
    assert moved.in_data(second).data_changed
    assert not Earlier().in_data(first).data_changed


def test_files_are_known_in_other_data_by_their_names() -> None:
    first = data(["cat/a.png", "cat/b.png", "dog/a.png"])
    earlier = Earlier([{}], [0, 2], ["cat/a.png", "dog/a.png"], first.fingerprint)
    without = earlier.in_data(data(["cat/0.png", "cat/b.png", "dog/a.png", "dog/b.png"]))
    assert (list(without.positions), without.data_changed) == ([2], False)
    back = without.in_data(first)
    assert (list(back.positions), back.data_changed) == ([0, 2], False)
    nameless = replace(first, files=None, classes=("other",))
    assert earlier.in_data(nameless).data_changed
