"""The record of one forget request that was carried out: what was asked, done, and found."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from unlearn.errors import InputError

EVIDENCE, WEIGHTS = "evidence.json", "unlearned.safetensors"
FORMAT = "pareto-search evidence, version 1"
MARK = "index_file_sha256"
"""Metadata of weights that a request has made, by which they are known under any name."""


@dataclass(frozen=True)
class Earlier:
    """The requests that a file of weights has been through already.

    Attributes:
        links: one per request, the first one first: hashes of its index file, its evidence and the
            weights that came of it.
        positions: the samples that were forgotten, as positions in the data of `data_sha256`.
        data_changed: whether requests were made of other data, the samples of which are unknown.
    """

    links: Sequence[Mapping[str, Any]] = ()
    positions: Sequence[int] = ()
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
        if _mark(weights) is None and not (weights.name == WEIGHTS and file.exists()):
            return cls()
        remedy = f"put the {EVIDENCE} that was written with these weights beside them"
        try:
            content = file.read_bytes()
            told = json.loads(content)
            after, asked = told["weights"]["after"]["file_sha256"], told["asked"]
            links = [*map(dict, told["chain"]), _link(content, told)]
            positions = [*told["earlier_positions"], *asked["positions"]]
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
        return cls(links, positions, data, changed)

    def in_data(self, data_sha256: str) -> "Earlier":
        """The same where the data are these: positions mean nothing in other ones."""
        if not self.links or self.data_sha256 == data_sha256:
            return self
        return replace(self, positions=(), data_sha256=data_sha256, data_changed=True)


def check_folder(folder: Path, index_file_sha256: str) -> None:
    """Make sure that nothing is overwritten but what the same request, interrupted, has left.

    Raises:
        InputError: the folder holds evidence, or other weights.
    """
    for name, ours in ((EVIDENCE, False), (WEIGHTS, _mark(folder / WEIGHTS) == index_file_sha256)):
        if (folder / name).exists() and not ours:
            raise InputError(
                f"{folder} holds another {name} already", "name another folder with --out"
            )


def file_sha256(file: Path) -> str:
    """The SHA-256 of a file's bytes, as `sha256sum` prints it.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}", "check the path") from None


def plain_words(
    before: Mapping[str, float],
    after: Mapping[str, float],
    *,
    retrained: bool,
    given: bool,
    found: bool,
    validated: bool,
    earlier: Earlier,
    flags: Sequence[str] = (),
) -> dict[str, list[str]]:
    """What the figures show and what they do not, for readers who are no specialists.

    Args:
        before, after: `ta`, `fa`, `ra`, `mia` of θ_o and θ_u, in percent.
        retrained: whether the method trains a new model without the samples.
        given: whether θ_o came from a file.
        found: whether the configuration is known to be the outcome of a search.
        validated: whether its figures on untouched data are part of the record.
        earlier: the requests before this one.
        flags: of what the method has done, see `unlearn.problem.Unlearned`.
    """
    shows = [
        f"On the samples to be forgotten the model was right on {before['fa']:.2f} % before and is"
        f" right on {after['fa']:.2f} % now; on the retained ones {before['ra']:.2f} % and"
        f" {after['ra']:.2f} %; on test data {before['ta']:.2f} % and {after['ta']:.2f} %.",
        f"A membership attack by confidence took {before['mia']:.2f} % of the samples to be"
        f" forgotten for samples that the model had never seen, and takes {after['mia']:.2f} %"
        " now.",
        "The weights before and after, the data, the request, the method, its parameters and its"
        " seed are named here: the same program on the same kind of device makes the same weights"
        " of them.",
    ]
    if earlier.positions:
        shows.append(
            f"The {len(earlier.positions)} samples that earlier requests have named were not"
            " trained on."
        )
    does_not = [*(_OF_RETRAINING if retrained else _OF_UNLEARNING), *_OF_EITHER]
    if "empty_selection" in flags:
        does_not.insert(
            0,
            "It shows no forgetting at all: the configuration selected no sample, so that the"
            " method took no step. The weights are those from before, but for pruning.",
        )
    if not given:
        does_not.append(
            "The model was made by the same program, as the study says, and not handed in: another"
            " model that is in use has forgotten nothing."
        )
    if earlier.data_changed:
        does_not.append(
            "The data have changed since earlier requests: their samples are taken to be gone, but"
            " nobody has looked. Any that are still there were retained."
        )
    does_not.append(_of_choice(found, validated))
    return {"shows": shows, "does_not_show": does_not}


_OF_UNLEARNING = (
    "It does not show that nothing of the forgotten samples is left in the weights: the method is"
    " approximate, and nothing is proved about it.",
    "No model was retrained without the samples of this request to compare with, so that nothing"
    " here says how near this one comes to such a model.",
)
_OF_RETRAINING = (
    "The model was trained anew without the samples of this request, but that does not show that"
    " it owes nothing to them: its parameters, and which of its weights are pruned, may have been"
    " chosen with their help.",
)
_OF_EITHER = (
    "It does not show that no attack can tell the forgotten samples: one simple attack was tried. A"
    " stronger one may find them.",
    "It says nothing of copies of the samples, or of other models trained on them, such as the one"
    " from before and those that a search keeps in its workspace.",
    "It is no guarantee of compliance with any law; that is for people to judge.",
)


def _of_choice(found: bool, validated: bool) -> str:
    if not found:
        return (
            "Where the configuration comes from is not known. If it was chosen by its figures on"
            " these test data, the test accuracy here is a little flattered."
        )
    return (
        "The configuration was chosen by its figures on half of the test data, so that the test"
        " accuracy here is a little flattered"
        + (
            "; `study.validation` has what it reached on the other half, for the study's own"
            " request."
            if validated
            else ", and it was never validated on the other half."
        )
    )


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


def _mark(weights: Path) -> str | None:
    """The hash of the index file that a request has made these weights for, if one has."""
    if weights.suffix != ".safetensors" or not weights.exists():
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
