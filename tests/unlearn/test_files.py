"""Files that are there whole or not at all, and texts."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from unlearn.errors import InputError
from unlearn.files import cache_folder, file_sha256, read_text, write_at_once


@pytest.mark.parametrize("before", [None, b"something longer than what comes"])
def test_a_file_is_written_and_nothing_else_is_left(tmp_path: Path, before: bytes | None) -> None:
    file = tmp_path / "file"
    if before is not None:
        file.write_bytes(before)
    write_at_once(file, b"content")
    assert file.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_written_is_told_of_and_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.mkdir()
    with pytest.raises(InputError, match=r"cannot write .*file"):
        write_at_once(file, b"content")
    assert list(tmp_path.iterdir()) == [file]


def test_of_many_writers_one_is_the_last_and_none_is_in_the_way(tmp_path: Path) -> None:
    file, contents = tmp_path / "file", [bytes([n]) * 10_000 for n in range(8)]
    with ThreadPoolExecutor(len(contents)) as threads:
        list(threads.map(lambda content: write_at_once(file, content), contents * 20))
    assert file.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_text_is_read_with_a_mark_in_front_and_without(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "file"
    file.write_text("σ = 1\r\n", encoding, newline="")
    assert read_text(file) == "σ = 1\n"


def test_what_is_no_text_is_told_of(tmp_path: Path) -> None:
    for file, content in ((tmp_path / "latin", "ä".encode("latin-1")), (tmp_path / "none", None)):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(InputError, match=f"cannot read {file}") as caught:
            read_text(file)
        assert caught.value.remedy == ("check the path" if content is None else "save it as UTF-8")


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 987_654)  # whom no file lists
    with pytest.raises(InputError, match="no home folder") as caught:
        cache_folder()
    assert "HOME" in caught.value.remedy


def test_a_files_hash_is_the_usual_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # the example of FIPS 180-4
    wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(tmp_path / "abc") == wanted
    for file in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match=f"cannot read {file}: "):
            file_sha256(file)
