"""Writing files that are there whole, or not at all."""

import os
from contextlib import suppress
from pathlib import Path

from unlearn.errors import InputError


def write_at_once(file: Path, content: bytes) -> None:
    """Write a file, or write it anew, so that nobody ever finds half of it.

    Raises:
        InputError: the file cannot be written; an older one is as it was.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}")
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
