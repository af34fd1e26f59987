"""Our own layers compute what PyTorch's do."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tests.unlearn.models.gradients import answer_and_gradients
from tests.unlearn.small import seeded
from unlearn.models._layers import GlobalAverage


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (8, 8)])
def test_a_global_average_is_the_mean_of_each_channel(size: tuple[int, int]) -> None:
    images = torch.randn(4, 3, *size, generator=seeded(), dtype=torch.double)
    direction = torch.randn(4, 3, 1, 1, generator=seeded(1), dtype=torch.double)
    assert_close(
        answer_and_gradients(GlobalAverage(), images, direction),
        answer_and_gradients(nn.AdaptiveAvgPool2d(1), images, direction),
    )


def test_max_pool_before_relu_is_relu_before_max_pool_bit_for_bit() -> None:
    # Many values are equal, and many are 0.
    images = torch.randint(-3, 4, (8, 5, 6, 6), generator=seeded()) / 3
    direction = torch.randn(8, 5, 3, 3, generator=seeded(1))
    pool, relu = nn.MaxPool2d(2), nn.ReLU()
    ours = answer_and_gradients(nn.Sequential(pool, relu), images, direction)
    theirs = answer_and_gradients(nn.Sequential(relu, pool), images, direction)
    assert ours[0].equal(theirs[0])
    assert ours[1][0].equal(theirs[1][0])
