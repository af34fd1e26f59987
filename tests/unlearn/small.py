"""Samples and networks of so few numbers that to train takes no time."""

import torch
from torch import nn

from unlearn.datasets import Samples

FEATURES, CLASSES = 6, 3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_samples(count: int) -> Samples:
    """Images of FEATURES pixels in a row, with random labels."""
    images = torch.rand(count, 1, 1, FEATURES, generator=seeded(1))
    return Samples(images, torch.randint(0, CLASSES, (count,), generator=seeded(2)))


def linear() -> nn.Sequential:
    model = nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, CLASSES))
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=seeded(3))
    return model


def with_batch_norm() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES)
    )
