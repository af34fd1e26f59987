"""Weights in files: of the plain network, without what a model of ours puts in front of it.

safetensors, or what `torch.save` makes of a state dict. Of a pickle nothing but tensors is read.
"""

import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from unlearn.errors import InputError, some
from unlearn.files import read_bytes, write_at_once
from unlearn.models import ModelFactory, Normalisation
from unlearn.problem import StateDict

NESTED = ("state_dict", "model_state_dict", "model")
"""Where training scripts put the weights, beside epochs, optimisers and the like."""

WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and `torch.compile` put in front of every name."""

ARCHITECTURE = "name the architecture that the weights were trained in"
SAVE = "save `model.state_dict()` alone, with torch.save or as safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """What a file of weights holds.

    Attributes:
        file: where it was read from.
        weights: tensors by name, on the CPU.
        normalisation: what the network's images are normalised by; None if the file does not say.
    """

    file: Path
    weights: StateDict
    normalisation: Normalisation | None = None


def load_checkpoint(file: Path) -> Checkpoint:
    """Read weights: safetensors if the file is called so, or else what `torch.save` has written.

    Raises:
        InputError: there is no such file, it is damaged, or it holds something else.
    """
    content = read_bytes(file)
    if file.suffix.lower() == ".safetensors":
        return _from_safetensors(file, content)
    return Checkpoint(file, _from_torch(file, content))


def save_checkpoint(
    file: Path,
    state: Mapping[str, Tensor],
    mean: Sequence[float],
    std: Sequence[float],
    **notes: str,
) -> None:
    """Write weights as safetensors, at once or not at all. Any program can read them back with
    `network.load_state_dict(safetensors.torch.load_file(file))`.

    Args:
        state: of the plain network; see `ModelFactory.network`.
        mean, std: what its images are normalised by, one value per channel; kept as metadata.
        notes: more metadata.

    Raises:
        InputError: the file cannot be written.
    """
    metadata = {"mean": json.dumps(list(mean)), "std": json.dumps(list(std)), **notes}
    content = _with_header_in_order(save(on_cpu(state), metadata))
    write_at_once(file, content)


def fitted(checkpoint: Checkpoint, factory: ModelFactory) -> StateDict:
    """The state dict of the factory's model with these weights: on the CPU, in the model's types.

    Raises:
        InputError: they are another network's, or not finite.
    """
    model = factory(0, torch.device("cpu"))
    network = factory.network(model)
    expected = network.state_dict()
    fresh = on_cpu(expected)
    weights = _without_wrappers(checkpoint.weights, expected)
    _refuse_contradictions(checkpoint.file, weights, expected)
    reshaped = [
        name for name in expected if name in weights and weights[name].shape != expected[name].shape
    ]
    missing, unexpected = network.load_state_dict(
        {name: tensor for name, tensor in weights.items() if name not in reshaped}, strict=False
    )
    # Of weights that are used twice, under two names, `safetensors.torch.save_model` writes one.
    given = {tensor.data_ptr() for name, tensor in expected.items() if name in weights}
    missing = [name for name in missing if expected[name].data_ptr() not in given]
    if missing or unexpected:
        lacks = f"lacks {some(missing)}" if missing else ""
        has = f"has {some(sorted(unexpected))}, which the model has not" if unexpected else ""
        raise InputError(
            f"{checkpoint.file} holds the weights of another network than {factory.name}: it "
            + " and ".join(filter(None, (lacks, has))),
            ARCHITECTURE,
        )
    if reshaped:
        shapes = {
            name: (tuple(weights[name].shape), tuple(expected[name].shape)) for name in reshaped
        }
        raise _other_shapes(checkpoint.file, shapes, factory)
    for name in not_finite(network.state_dict(), fresh):
        raise InputError(
            f"{checkpoint.file}: {name} is not finite", "train the model again, or mend it"
        )
    return on_cpu(model.state_dict())


def not_finite(weights: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> list[str]:
    """Names of weights that are not finite where those of a fresh model are; a mask may be infinite
    from the beginning. All are on the CPU."""
    return [
        name
        for name, tensor in weights.items()
        if not bool((tensor.isfinite() | ~fresh[name].isfinite()).all())
    ]


def on_cpu(state: Mapping[str, Tensor]) -> StateDict:
    """Contiguous copies on the CPU; safetensors refuses weights that share their memory."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in state.items()
    }


def read_header(content: bytes) -> tuple[dict[str, Any], int]:
    """What a safetensors file says of its tensors and, as `__metadata__`, of itself, and where the
    tensors begin; the library tells it of files alone."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), end


def _with_header_in_order(content: bytes) -> bytes:
    """safetensors writes metadata in any order, so that equal content had files that differ."""
    header, end = read_header(content)
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors behind it stay aligned
    return len(text).to_bytes(8, "little") + text + content[end:]


def _from_safetensors(file: Path, content: bytes) -> Checkpoint:
    try:
        weights = load(content)
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{file} is damaged, or no safetensors file", SAVE) from error
    header, _ = read_header(content)
    return Checkpoint(file, weights, _normalisation(file, header.get("__metadata__") or {}))


def _normalisation(file: Path, metadata: Mapping[str, str]) -> Normalisation | None:
    if not {"mean", "std"} <= metadata.keys():
        return None
    try:
        mean, std = (
            tuple(float(value) for value in json.loads(metadata[key])) for key in ("mean", "std")
        )
    except (ValueError, TypeError, OverflowError, RecursionError):
        mean = std = ()
    if not (0 < len(mean) == len(std) and all(map(math.isfinite, mean + std)) and min(std) > 0):
        raise InputError(
            f"{file}: the mean and std in its metadata are no normalisation",
            "write one number per channel, as JSON lists, std positive; or leave them out",
        )
    return Normalisation(mean, std)


def _from_torch(file: Path, content: bytes) -> StateDict:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they are of is refused below
            found = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no checkpoint break its reader in many ways
        whole = re.search(r"GLOBAL (\w+(?:\.\w+)+)|(TorchScript)", str(error))
        if whole is None:
            raise InputError(f"{file} is damaged, or no file of torch.save", SAVE) from error
        raise InputError(
            f"{file} holds code or whole objects ({whole[1] or whole[2]}), which are not read", SAVE
        ) from error
    if isinstance(found, Mapping):
        found = next((found[k] for k in NESTED if isinstance(found.get(k), Mapping)), found)
    if not isinstance(found, Mapping):
        raise InputError(
            f"{file} holds no tensors by name, but something of type {type(found).__name__}", SAVE
        )
    for name, value in found.items():
        if not (isinstance(name, str) and _is_dense(value)):
            raise InputError(
                f"{file} holds more than dense tensors by name: {name!r} is of type"
                f" {type(value).__name__}",
                SAVE,
            )
    return dict(found)


def _is_dense(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def _without_wrappers(weights: StateDict, expected: StateDict) -> StateDict:
    """By the names that the network itself has."""
    for wrapper in WRAPPERS * 2:  # in either order
        if weights.keys() & expected.keys():
            break  # a part of the network may be called like a wrapper
        if all(name.startswith(wrapper) for name in weights):
            weights = {name.removeprefix(wrapper): tensor for name, tensor in weights.items()}
    return weights


def _refuse_contradictions(file: Path, weights: StateDict, expected: StateDict) -> None:
    """Of the weights that belong to the network, what loading them would lose without a word.

    Args:
        expected: of the network, where one tensor may have several names.

    Raises:
        InputError: a complex number would become a real one, or of two values of one tensor the
            last would count.
    """
    known: dict[tuple[int, torch.Size], tuple[str, Tensor]] = {}
    for name, ours in expected.items():
        if name not in weights:
            continue
        if weights[name].is_complex() and not ours.is_complex():
            raise InputError(f"{file}: {name} is complex, and real in the model", ARCHITECTURE)
        value = weights[name].to(ours.dtype).nan_to_num()
        other, same = known.setdefault((ours.data_ptr(), ours.shape), (name, value))
        if not torch.equal(value, same):
            raise InputError(
                f"{file}: {other} and {name} differ, which are one and the same in the model",
                ARCHITECTURE,
            )


def _other_shapes(
    file: Path, shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]], factory: ModelFactory
) -> InputError:
    """
    Args:
        shapes: in the file and in the model.
    """
    name, (theirs, ours) = next(iter(shapes.items()))
    problem = f"{file}: {name} has the shape {theirs}, in {factory.name} it is {ours}"
    if all(
        len(theirs) == len(ours) > 0 and ours == (factory.classes, *theirs[1:])
        for theirs, ours in shapes.values()
    ):
        return InputError(
            f"{problem}: {theirs[0]} classes instead of {factory.classes}",
            "name the data that the weights were trained on, with all of their classes",
        )
    return InputError(problem, ARCHITECTURE)
