"""The requests that weights have been through before, by the evidence that lies beside them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from unlearn.datasets import Dataset
from unlearn.errors import InputError
from unlearn.files import file_sha256

EVIDENCE, WEIGHTS = "evidence.json", "unlearned.safetensors"
FORMAT = "pareto-search evidence, version 2"
MARK = "index_file_sha256"
"""Metadata of weights that a request has made, by which they are known under any name."""


@dataclass(frozen=True)
class Earlier:
    """The requests that a file of weights has been through already.

    Attributes:
        links: one per request, the first one first: hashes of its index file, its evidence and the
            weights that came of it.
        positions: the samples that were forgotten, as positions in the data of `data_sha256`.
        files: the same by name, `<class>/<file>`, and those that are not in these data any more;
            None if some lie in no file of their own.
        data_changed: whether requests were made of other data, the samples of which are unknown.
    """

    links: Sequence[Mapping[str, Any]] = ()
    positions: Sequence[int] = ()
    files: Sequence[str] | None = ()
    data_sha256: str | None = None
    data_changed: bool = False

    @classmethod
    def of(cls, weights: Path) -> "Earlier":
        """What the evidence beside a file of weights says of them; nothing if no request has made
        them.

        Raises:
            InputError: the evidence is missing, or of other weights, or it cannot be read.
        """
        file = weights.with_name(EVIDENCE)
        if mark_of(weights) is None and not (weights.name == WEIGHTS and file.exists()):
            return cls()
        remedy = f"put the {EVIDENCE} that was written with these weights beside them"
        try:
            content = file.read_bytes()
            told = json.loads(content)
            after, asked = told["weights"]["after"]["file_sha256"], told["asked"]
            links = [*map(dict, told["chain"]), _link(content, told)]
            positions = [*told["earlier_positions"], *asked["positions"]]
            named = told["earlier_files"], asked["files"]
            files = None if None in named else [*map(str, [*named[0], *named[1]])]
            _check(told["format"], positions, asked["training_samples"])
            data, changed = asked["data_sha256"], bool(told["data_changed"])
        except FileNotFoundError:
            raise InputError(
                f"{weights} has forgotten samples already, and no {EVIDENCE} beside it says which",
                remedy,
            ) from None
        except OSError as error:
            raise InputError(f"cannot read {file}: {error.strerror}", remedy) from None
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{file} is no evidence of ours, or damaged", remedy) from None
        if after != file_sha256(weights):
            raise InputError(f"{file} speaks of other weights than {weights}", remedy)
        return cls(links, positions, files, data, changed)

    def in_data(self, dataset: Dataset) -> "Earlier":
        """The same where the data are these: in other ones positions mean nothing, and files are
        those of the same names."""
        data = dataset.fingerprint
        if not self.links or self.data_sha256 == data:
            return self
        if self.files is None or dataset.files is None:
            return replace(self, positions=(), data_sha256=data, data_changed=True)
        gone = set(self.files)
        there = [position for position, name in enumerate(dataset.files) if name in gone]
        return replace(self, positions=there, data_sha256=data)


def _link(content: bytes, told: Mapping[str, Any]) -> dict[str, Any]:
    asked = told["asked"]
    return {
        "when": told["when"],
        "evidence_sha256": hashlib.sha256(content).hexdigest(),
        "index_file_sha256": asked["index_file_sha256"],
        "data_sha256": asked["data_sha256"],
        "forgotten": len(asked["positions"]),
        "weights_file_sha256": told["weights"]["after"]["file_sha256"],
    }


def mark_of(weights: Path) -> str | None:
    """The hash of the index file that a request has made these weights for, if one has."""
    if weights.suffix.lower() != ".safetensors" or not weights.exists():
        return None
    try:
        with safe_open(weights, "pt") as file:
            return (file.metadata() or {}).get(MARK)
    except SafetensorError:
        return None  # it is anything but weights of ours, which are written at once


def _check(form: object, positions: Sequence[object], samples: int) -> None:
    if form != FORMAT:
        raise ValueError("another format")
    if not all(type(position) is int and 0 <= position < samples for position in positions):
        raise ValueError("positions outside of the data")
