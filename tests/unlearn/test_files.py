"""Files that are there whole, or not at all."""

from pathlib import Path

import pytest

from unlearn.errors import InputError
from unlearn.files import write_at_once


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
