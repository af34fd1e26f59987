"""What is computed once per study, kept for it: safetensors with checksums, nothing pickled."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pareto.workspace.lock import locked
from pareto.workspace.places import Place
from unlearn.checkpoint import read_header


@dataclass(frozen=True)
class Artifact:
    """Tensors, and whatever else JSON can hold, under one name."""

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """A SHA-256 over the tensors' names, types, shapes and bits, whatever their order."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.tensors.items()):
            digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()


class Workspace:
    """Artifacts that belong together, in a folder named after a hash of what they depend on.

    An artifact counts only with its seal, the checksum of its bytes. Should two programs write one
    at the same time, what is left is the work of one of them, or is damaged; never a mixture. They
    may still read artifacts of each other. These differ as machines do: in the last bits, and in
    the notes of how long something took.

    Attributes:
        key: the hash.
    """

    def __init__(
        self, place: str, depends_on: Mapping[str, Any], warn: Callable[[str], None]
    ) -> None:
        """
        Args:
            place: a folder, or a URL that fsspec has a driver for.
            warn: told of damage, and of what there is to wait for.

        Raises:
            InputError: nothing can be kept there. Every method raises it as well.
        """
        self.key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()[:16]
        self._place = Place(place)
        self._warn = warn
        self._place.make_folder(self.key)

    def lock(self) -> AbstractContextManager[None]:
        """Hold it while building, so that others wait instead of doing the same. It is free again
        when its holder dies."""
        return locked(self._place, self.key, self._warn)

    def get(self, name: str, build: Callable[[], Artifact]) -> Artifact:
        """The artifact called `name`: read if it is there and intact, built and kept otherwise."""
        found = self.find(name)
        if found is not None:
            return found
        built = build()
        self.put(name, built)
        return built

    def find(self, name: str) -> Artifact | None:
        """The artifact called `name`, if it is there and intact."""
        file, seal = self._files(name)
        expected = self._place.read(seal)
        content = None if expected is None else self._place.read(file)
        if content is None:
            return None  # never finished
        if _seal(content) == expected:
            try:
                return _parsed(content)
            except (SafetensorError, ValueError, KeyError, TypeError):
                pass  # said below: whatever is wrong with it, it is made again
        self._warn(f"{self._place}/{file} is damaged and is made again")
        return None

    def put(self, name: str, artifact: Artifact) -> None:
        """Keep an artifact under this name, instead of what there is."""
        file, seal = self._files(name)
        content = save(dict(artifact.tensors), metadata={"notes": json.dumps(artifact.notes)})
        # The seal comes last: without it the file does not count.
        self._place.remove(seal)
        self._place.write(file, content)
        self._place.write(seal, _seal(content))

    def _files(self, name: str) -> tuple[str, str]:
        return f"{self.key}/{name}.safetensors", f"{self.key}/{name}.sha256"


def _seal(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _parsed(content: bytes) -> Artifact:
    header, _ = read_header(content)
    return Artifact(load(content), json.loads(header["__metadata__"]["notes"]))
