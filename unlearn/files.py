"""Files: written so that they are there whole or not at all; what is wrong with one, in words."""

import hashlib
from contextlib import suppress
from io import BytesIO, TextIOWrapper
from pathlib import Path
from uuid import uuid4

from platformdirs import user_cache_path

from unlearn.errors import InputError


def write_at_once(file: Path, content: bytes) -> None:
    """Write a file, or write it anew, so that nobody ever finds half of it.

    Raises:
        InputError: the file cannot be written; an older one is as it was.
    """
    draft = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        draft.write_bytes(content)
        draft.replace(file)
    except OSError as error:
        raise InputError(
            f"cannot write {file}: {error.strerror}", "check the path, and that there is room"
        ) from None
    finally:
        with suppress(OSError):  # it is the file by now, or could not be made
            draft.unlink()


def cache_folder() -> Path:
    """The user's folder for what can be made again: `~/.cache/pareto-search` on Linux.

    Raises:
        InputError: the user has no home.
    """
    # As in containers, for users that no file lists: an error, or in older versions a folder `~`.
    with suppress(RuntimeError):
        folder = user_cache_path("pareto-search")
        if folder.is_absolute():
            return folder
    raise InputError("this user has no home folder, and so no cache", "set HOME or XDG_CACHE_HOME")


def read_bytes(file: Path) -> bytes:
    """What a file holds.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: OSError) -> InputError:
    return InputError(f"cannot read {file}: {error.strerror}", "check the path")


def file_sha256(file: Path) -> str:
    """The SHA-256 of a file's bytes, as `sha256sum` prints it.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(file, error) from None


def read_text(file: Path) -> str:
    """A file of UTF-8 text, with or without the mark that editors on Windows put in front.

    Raises:
        InputError: it cannot be read, or is no such text.
    """
    try:
        return TextIOWrapper(BytesIO(read_bytes(file)), "utf-8-sig").read()
    except UnicodeDecodeError:
        raise InputError(f"cannot read {file}: it is not UTF-8 text", "save it as UTF-8") from None
