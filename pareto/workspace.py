"""What is computed once per study, kept on disk: safetensors with checksums, nothing pickled."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from unlearn.errors import InputError

DEFAULT_FOLDER = Path("pareto-search-workspace")


@dataclass(frozen=True)
class Artifact:
    """Tensors, and whatever else JSON can hold, under one name."""

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


def check_folder(folder: Path) -> None:
    """Make sure that a folder is there or can be made, without making it.

    Raises:
        InputError: it cannot.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"cannot write into {nearest}", "choose a folder that can be written")


class Workspace:
    """A folder of artifacts that belong together, named after a hash of what they depend on."""

    def __init__(
        self, parent: Path, depends_on: Mapping[str, Any], warn: Callable[[str], None]
    ) -> None:
        key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = parent / key
        self._warn = warn
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(self.folder, error) from None

    def lock(self) -> AbstractContextManager[Any]:
        """Hold it while building, so that others wait instead of doing the same. The system
        releases it when its holder dies."""
        return FileLock(self.folder / "lock")

    def get(self, name: str, build: Callable[[], Artifact]) -> Artifact:
        """The artifact called `name`: read if it is there and intact, built and kept otherwise."""
        found = self._read(name)
        if found is not None:
            return found
        built = build()
        self._write(name, built)
        return built

    def _read(self, name: str) -> Artifact | None:
        file, seal = self._files(name)
        try:
            expected = seal.read_text()
            if hashlib.sha256(file.read_bytes()).hexdigest() == expected:
                with safe_open(file, framework="pt") as content:
                    tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
                    return Artifact(tensors, json.loads(content.metadata()["notes"]))
        except FileNotFoundError:
            if not file.exists() or not seal.exists():
                return None  # never finished
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            pass  # said below: whatever is wrong with it, it is made again
        self._warn(f"{file} is damaged and is made again")
        return None

    def _write(self, name: str, artifact: Artifact) -> None:
        file, seal = self._files(name)
        content = save(dict(artifact.tensors), metadata={"notes": json.dumps(artifact.notes)})
        try:
            # The seal comes last: without it the file does not count.
            seal.unlink(missing_ok=True)
            _replace(file, content)
            _replace(seal, hashlib.sha256(content).hexdigest().encode())
        except OSError as error:
            raise _unwritable(file, error) from None

    def _files(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.safetensors", self.folder / f"{name}.sha256"


def _replace(file: Path, content: bytes) -> None:
    draft = file.with_name(f".{file.name}.draft")
    with draft.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"cannot write {path}: {error.strerror}", "make space there, or correct its permissions"
    )
