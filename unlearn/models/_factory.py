"""From a model's name to freshly initialised networks."""

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from unlearn.datasets import Samples, to_unit
from unlearn.errors import InputError, in_one_line
from unlearn.models._architectures import ARCHITECTURES
from unlearn.models._convolution import quicken
from unlearn.models._own import own_factory, own_model, source_files
from unlearn.models._torchvision import PREFIX, torchvision_model
from unlearn.pruning import prune
from unlearn.seeds import seeded_globals

CPU = torch.device("cpu")


class Normalisation(NamedTuple):
    """What images are shifted and scaled by: per channel, in pixel space."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Normalise(nn.Module):
    """Shift and scale each channel; the statistics travel in the state dict."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.view(1, -1, 1, 1))
        self.register_buffer("std", std.view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


@dataclass(frozen=True)
class ModelFactory:
    """Builds freshly initialised models of one architecture for one data set, in any process.

    Attributes:
        name: a key of `ARCHITECTURES`, `torchvision:NAME`, `module:factory`, `file.py:factory`.
        classes: how many outputs (logits) the model has.
        mean, std: what the model normalises images by in pixel space, one value per channel.
        folder: where modules and files of the user's are looked for, absolute.
        plain: whether tensors lie and convolutions are as PyTorch has them, and not as is quickest.
    """

    name: str
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    folder: str = ""
    plain: bool = False

    @classmethod
    def for_data(
        cls,
        name: str,
        train: Samples,
        classes: int,
        folder: Path | None = None,
        normalisation: Normalisation | None = None,
    ) -> "ModelFactory":
        """The factory for an architecture on some training data.

        A model that is not ours is tried out here, on two images, and not first in every trial. One
        that only works on tensors that lie as PyTorch lays them, as `view` may, gets such.

        Args:
            folder: where modules and files of the user's are looked for; default: the working
                directory.
            normalisation: default: the statistics of the training data.

        Raises:
            InputError: no such architecture, the images are too small for it, or it can't be used;
                or the normalisation is for another number of channels.
        """
        if name not in ARCHITECTURES and ":" not in name:
            raise InputError(
                f"no model is called {name!r}",
                f"use one of {', '.join(ARCHITECTURES)}, torchvision:NAME or MODULE:FUNCTION",
            )
        mean, std = normalisation or _statistics(train.images)
        channels = train.images.shape[1]
        if len(mean) != channels:
            raise InputError(
                f"the normalisation is for {len(mean)} channels, the images have {channels}",
                "give one mean and one std for each channel of the images",
            )
        factory = cls(name, classes, mean, std, str((folder or Path()).absolute()))
        if name in ARCHITECTURES:
            _check_size(name, train.images)
            return factory
        try:
            _try_out(factory, train.images[:2])
        except InputError:
            factory = replace(factory, plain=True)
            _try_out(factory, train.images[:2])
        return factory

    def __call__(self, seed: int, device: torch.device) -> nn.Module:
        """A model initialised from `seed`, equal on every device; no global state is touched.

        Raises:
            InputError: the user's own model cannot be made.
        """
        with seeded_globals(0, CPU):  # a module may draw when it is imported, which is done once
            build = self._builder()
        with seeded_globals(seed, CPU):
            network = build()
        model = nn.Sequential(Normalise(torch.tensor(self.mean), torch.tensor(self.std)), network)
        if self.plain:
            return model.to(device)
        quicken(network)
        # Channels-last convolutions run twice as fast on a CPU, and faster on tensor cores.
        return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def network(self, model: nn.Module) -> nn.Module:
        """The network as the architecture's authors know it, without what a model of this factory
        puts in front of it."""
        grey = self.name.startswith(PREFIX) and len(self.mean) == 1
        return model.get_submodule("1.1" if grey else "1")

    def _builder(self) -> Callable[[], nn.Module]:
        channels = len(self.mean)
        if self.name in ARCHITECTURES:
            return partial(ARCHITECTURES[self.name].build, channels, self.classes)
        if self.name.startswith(PREFIX):
            return partial(torchvision_model, self.name, channels, self.classes)
        factory = own_factory(self.name, self.folder)
        return partial(own_model, factory, self.name, self.folder, self.classes)

    def source_files(self) -> dict[str, str] | None:
        """The SHA-256 of each file of the user's own model, by its path; None if it is not
        theirs."""
        if self.name in ARCHITECTURES or self.name.startswith(PREFIX):
            return None
        return source_files(self.name, self.folder)

    def source_fingerprint(self) -> str | None:
        """What tells one version of the user's own model from another: the SHA-256 of its file or,
        if there are several, of what tells these; None if it is not theirs."""
        files = self.source_files()
        if files is None:
            return None
        if len(files) == 1:
            return next(iter(files.values()))
        return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _statistics(images: Tensor) -> Normalisation:
    # Channel by channel: as floats, all images would take four times their memory.
    channels = [torch.std_mean(to_unit(channel)) for channel in images.unbind(dim=1)]
    # A constant channel must not divide by zero.
    std = tuple(float(deviation.clamp_min(1e-3)) for deviation, _ in channels)
    return Normalisation(tuple(float(mean) for _, mean in channels), std)


def _check_size(name: str, images: Tensor) -> None:
    (height, width), smallest = images.shape[-2:], ARCHITECTURES[name].smallest
    if min(height, width) < smallest:
        raise InputError(
            f"images of {width}×{height} pixels are too small for {name}",
            f"use {smallest}×{smallest} or larger, or another model",
        )


def _try_out(factory: ModelFactory, images: Tensor) -> None:
    """See whether training, evaluation, pruning and storing can do with a model.

    Args:
        images: two.
    """
    name = factory.name
    try:
        model, again, other = (factory(seed, CPU) for seed in (0, 0, 1))
        made_of = set(model.state_dict())
        with torch.no_grad(), seeded_globals(0, CPU):
            answers = [model.train()(to_unit(images)), model.eval()(to_unit(images))]
    except InputError:
        raise
    except Exception as error:
        channels, height, width = images.shape[1:]
        raise InputError(
            f"{name} cannot be used for {channels}-channel images of {width}×{height} pixels:"
            f" {in_one_line(error)}",
            "change the model, or use images of another size",
        ) from error
    for answer in answers:
        shape = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        if shape != (2, factory.classes):
            raise InputError(
                f"{name} answers two images with {shape}, not with 2×{factory.classes} logits",
                "make it return one logit per class, in training and in evaluation",
            )
    if set(model.state_dict()) != made_of:
        reason: str | None = "makes parts of itself when it is first called, not in `__init__`"
    else:
        reason = (
            _unusable(model, again)
            or (None if name.startswith(PREFIX) else _untrainable(model, images))
            or _unsteady(model, other, images)
        )
    if reason is not None:
        raise InputError(f"{name} {reason}", "change it, or use another model")


def _unusable(model: nn.Module, again: nn.Module) -> str | None:
    """Why a model cannot be used, to follow its name.

    Args:
        again: made from the same seed.
    """
    if any(map(is_lazy, [*again.parameters(), *again.buffers()])):
        return "waits for images to know the shapes of its parameters: say them when it is made"
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return "has nothing to train"
    if not all(isinstance(value, Tensor) for value in model.state_dict().values()):
        return "keeps something in its state dict that is no tensor"
    if model.get_submodule("1") is again.get_submodule("1"):
        return "makes the same model again, not another one"
    first, second = dict(model.named_parameters()), dict(again.named_parameters())
    if first.keys() != second.keys() or any(not first[k].equal(second[k]) for k in first):
        return "starts from other weights every time: draw them from torch, NumPy or random"
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    computed = sorted(prune(model, 0.0).keys() - parameters)
    if computed:
        return f"computes {computed[0]} from other parameters, so that it cannot be pruned"
    return None


def _untrainable(model: nn.Module, images: Tensor) -> str | None:
    """Why a model cannot be trained and copied, to follow its name."""
    try:
        with seeded_globals(0, CPU):
            model.train()(to_unit(images)).sum().backward()
    except Exception as error:
        return f"cannot be trained: {in_one_line(error)}"
    model.zero_grad()
    try:
        copy.deepcopy(model)
    except Exception as error:
        return f"cannot be copied once it has answered: {in_one_line(error)}"
    return None


@torch.no_grad()
def _unsteady(model: nn.Module, other: nn.Module, images: Tensor) -> str | None:
    """Why a model's state dict does not decide its answers in evaluation, to follow its name.

    Args:
        other: made from another seed; it gets the model's state.
    """
    try:
        other.load_state_dict(model.state_dict())
    except Exception as error:
        return f"does not take its own state dict: {in_one_line(error)}"
    with seeded_globals(0, CPU):
        first, second, others = (net.eval()(to_unit(images)) for net in (model, model, other))
    if not torch.allclose(first, second, equal_nan=True):
        return "answers at random in evaluation: dropout has to be told of `self.training`"
    if not torch.allclose(first, others, equal_nan=True):
        return "keeps something random out of its state dict: make it a parameter or buffer of it"
    return None
