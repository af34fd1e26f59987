"""Models by name: `small-cnn`, `resnet18`.

Every model takes images in pixel space [0, 1] and normalises them itself, so that noise can be
added before normalisation and an exported model needs no preprocessing note.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unlearn.datasets import Samples, to_unit
from unlearn.errors import InputError


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


def small_cnn(channels: int, classes: int) -> nn.Module:
    """Three 3×3 convolutions (32, 64, 128 maps), batch norm, global average: for small images."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *block(channels, 32),
        nn.MaxPool2d(2),
        *block(32, 64),
        nn.MaxPool2d(2),
        *block(64, 128),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, classes),
    )


def resnet18(channels: int, classes: int) -> nn.Module:
    """ResNet-18 in its CIFAR form: a 3×3 stem of stride 1 and no max-pool."""
    from torchvision.models import resnet18 as imagenet_form

    model: nn.Module = imagenet_form(num_classes=classes)
    model.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


ARCHITECTURES: dict[str, Callable[[int, int], nn.Module]] = {
    "small-cnn": small_cnn,
    "resnet18": resnet18,
}


@dataclass(frozen=True)
class ModelFactory:
    """Builds freshly initialised models of one architecture for one data set.

    Attributes:
        name: a key of `ARCHITECTURES`.
        classes: how many outputs (logits) the model has.
        mean, std: per-channel statistics of D_o in pixel space, one value per channel.
    """

    name: str
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def for_data(cls, name: str, train: Samples, classes: int) -> "ModelFactory":
        """The factory for an architecture on some training data.

        Raises:
            InputError: no such architecture, or the images are too small for it.
        """
        if name not in ARCHITECTURES:
            raise InputError(
                f"no model is called {name!r}", f"use one of {', '.join(ARCHITECTURES)}"
            )
        height, width = train.images.shape[-2:]
        if min(height, width) < 8:
            raise InputError(
                f"images of {width}×{height} pixels are too small for {name}", "use 8×8 or larger"
            )
        unit = to_unit(train.images)
        std, mean = torch.std_mean(unit, dim=(0, 2, 3))
        std = std.clamp_min(1e-3)  # a constant channel must not divide by zero
        return cls(name, classes, tuple(mean.tolist()), tuple(std.tolist()))

    def __call__(self, seed: int, device: torch.device) -> nn.Module:
        """A model initialised from `seed`, equal on every device; no global state is touched."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs too
            network = ARCHITECTURES[self.name](len(self.mean), self.classes)
        normalise = Normalise(torch.tensor(self.mean), torch.tensor(self.std))
        # Channels-last convolutions run twice as fast on a CPU, and faster on tensor cores.
        model = nn.Sequential(normalise, network)
        return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
