"""From a model's name to freshly initialised networks."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unlearn.datasets import Samples, to_unit
from unlearn.errors import InputError
from unlearn.models._architectures import ARCHITECTURES
from unlearn.models._convolution import quicken
from unlearn.models._own import own_factory, own_model, source_files
from unlearn.models._torchvision import PREFIX, torchvision_model
from unlearn.models._try_out import try_out
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
            try_out(factory, train.images[:2])
        except InputError:
            factory = replace(factory, plain=True)
            try_out(factory, train.images[:2])
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
