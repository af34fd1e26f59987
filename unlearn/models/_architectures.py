"""The architectures that come with the package, in the forms that suit small images."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from unlearn.models._layers import GlobalAverage


@dataclass(frozen=True)
class Architecture:
    """A network, and what it needs.

    Attributes:
        build: (channels, classes) -> network, from normalised images to logits.
        smallest: height and width that images have at least, in pixels.
    """

    build: Callable[[int, int], nn.Module]
    smallest: int


def small_cnn(channels: int, classes: int) -> nn.Module:
    """Three 3×3 convolutions (32, 64, 128 maps), batch norm, global average: for small images."""
    return nn.Sequential(
        *_convolution(channels, 32, halve=True),
        *_convolution(32, 64, halve=True),
        *_convolution(64, 128),
        GlobalAverage(),
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


VGG16_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def vgg16(channels: int, classes: int) -> nn.Module:
    """VGG-16 in its CIFAR form: 13 convolutions with batch norm in five blocks, each of which ends
    by halving the image; then the global average, and one linear layer instead of three."""
    layers: list[nn.Module] = []
    inputs = channels
    for block in VGG16_BLOCKS:
        for outputs in block[:-1]:
            layers += _convolution(inputs, outputs)
            inputs = outputs
        layers += _convolution(inputs, block[-1], halve=True)
        inputs = block[-1]
    return nn.Sequential(*layers, GlobalAverage(), nn.Flatten(), nn.Linear(inputs, classes))


def _convolution(inputs: int, outputs: int, *, halve: bool = False) -> list[nn.Module]:
    # Batch norm has a bias already.
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    # Max-pool and ReLU may change places, bit for bit: this way ReLU has a quarter to do.
    pool = [nn.MaxPool2d(2)] if halve else []
    return [convolution, nn.BatchNorm2d(outputs), *pool, nn.ReLU(inplace=True)]


ARCHITECTURES: dict[str, Architecture] = {
    "small-cnn": Architecture(small_cnn, smallest=8),
    "resnet18": Architecture(resnet18, smallest=8),
    "vgg16": Architecture(vgg16, smallest=32),
}
