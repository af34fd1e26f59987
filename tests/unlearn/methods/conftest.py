"""A request so small that its outcome can be computed by hand."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from unlearn.datasets import Samples
from unlearn.problem import Problem


@pytest.fixture(scope="session")
def convex(problem: Problem) -> Problem:
    """To forget 20 of 50 images of six pixels, of a softmax regression; each part fits into one
    batch, so that the order is no matter."""
    seeded = torch.Generator().manual_seed(4)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    for parameter in linear.parameters():
        nn.init.normal_(parameter, generator=seeded)
    images = torch.rand(50, 1, 2, 3, generator=seeded)
    samples = Samples(images, torch.randint(3, (50,), generator=seeded))
    forget, retain = samples.take(torch.arange(20)), samples.take(torch.arange(20, 50))
    return replace(problem, original=linear.eval(), forget=forget, retain=retain)
