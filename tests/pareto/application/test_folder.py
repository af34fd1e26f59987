"""Folders of requests: none is written over, and those of the same weights are found."""

from pathlib import Path

import pytest

from pareto.application.folder import check_folder, other_requests
from pareto.preparation.earlier import EVIDENCE, WEIGHTS
from tests.pareto.requests import INDEX_FILE, put, written
from unlearn.errors import InputError


def test_other_requests_of_the_same_weights_are_found(tmp_path: Path) -> None:
    contents: dict[str, object] = {
        "first": {"weights": {"before": {"tensors_sha256": "a" * 64}}},
        "second": {"weights": {"before": {"tensors_sha256": "b" * 64}}},
        "third": {"weights": {"before": {"tensors_sha256": "a" * 64}}},
        "list": [1],
        "number": 7,
    }
    for name, told in contents.items():
        put(told, written(tmp_path / name))
    written(tmp_path / "broken").with_name(EVIDENCE).write_text("{")
    found = other_requests(tmp_path / "third", "a" * 64)
    assert [folder.name for folder in found] == ["first"]
    assert other_requests(tmp_path / "none" / "new", "a" * 64) == []


def test_a_folder_may_hold_what_the_same_request_has_left_and_nothing_more(tmp_path: Path) -> None:
    check_folder(tmp_path / "none", INDEX_FILE)
    check_folder(written(tmp_path / "interrupted").parent, INDEX_FILE)
    whole = written(tmp_path / "whole")
    put({}, whole)
    damaged = tmp_path / "damaged" / WEIGHTS
    damaged.parent.mkdir()
    damaged.write_bytes(b"something")
    for folder in (
        written(tmp_path / "theirs", mark=None).parent,
        written(tmp_path / "another", mark="2" * 64).parent,
        whole.parent,
        damaged.parent,
    ):
        with pytest.raises(InputError, match=f"{folder} holds "):
            check_folder(folder, INDEX_FILE)


def test_a_path_that_no_folder_can_have_is_told_of() -> None:
    with pytest.raises(InputError, match=r"cannot look into x.*: File name too long") as caught:
        check_folder(Path("x" * 300), "ours")
    assert "--out" in caught.value.remedy
