"""What storages that are files have in common."""

import tempfile
from pathlib import Path


def clock_of_folder(folder: Path) -> float:
    """The time that a new file in a folder gets, which may lie on another machine.

    Raises:
        OSError: no file can be made there.
    """
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".pareto-search-") as probe:
        return Path(probe.name).stat().st_mtime


def identity_of_file(file: Path) -> tuple[int, int] | None:
    """Of which file a name is at this moment; None if there is none."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
