"""What the tests of models share."""

import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from unlearn.datasets import Samples
from unlearn.models import ModelFactory

CPU = torch.device("cpu")
CLASSES = 5


def random_samples(channels: int, size: int) -> Samples:
    images = torch.randint(
        0, 256, (6, channels, size, size), generator=torch.Generator().manual_seed(0)
    )
    return Samples(images.to(torch.uint8), torch.zeros(6, dtype=torch.int64))


def made(name: str, folder: Path, seed: int = 0) -> nn.Module:
    """The user's model of this name, for small images in colour."""
    return ModelFactory.for_data(name, random_samples(3, 8), CLASSES, folder)(seed, CPU)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def count(model: nn.Module) -> int:
    """Of all parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def global_state() -> tuple[object, ...]:
    """The random state that everybody shares."""
    numpy = np.random.get_state(legacy=False)
    return (
        torch.get_rng_state().tolist(),
        random.getstate(),
        str(numpy),
        numpy["state"]["key"].sum(),
    )
