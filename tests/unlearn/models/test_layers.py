"""Our own layers compute what PyTorch's do."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from tests.unlearn.small import seeded
from unlearn.models._layers import Convolution, GlobalAverage, quicken


def answer_and_gradients(
    model: nn.Module, images: Tensor, direction: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """The answer, and the gradients of its inner product with `direction`."""
    images = images.clone().requires_grad_()
    answer = model(images)
    gradients = torch.autograd.grad(answer, [images, *model.parameters()], direction)
    return answer.detach(), list(gradients)


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


def pair(convolution: nn.Conv2d) -> tuple[nn.Conv2d, nn.Conv2d]:
    """PyTorch's, with weights drawn from a seed, and ours with the same ones."""
    for parameter in convolution.parameters():
        nn.init.uniform_(parameter, -1, 1, generator=seeded())
    ours = copy.deepcopy(convolution)
    quicken(ours)
    assert type(ours) is Convolution
    return convolution, ours


# Answers of one position, of few, and of more than are multiplied in any precision.
@pytest.mark.parametrize("size", [(3, 3), (4, 4), (4, 9), (9, 9)])
@pytest.mark.parametrize("precision", [torch.double, torch.bfloat16])
@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(3, 5, 3, padding=1),
        nn.Conv2d(3, 5, 3, padding=1, bias=False),
        nn.Conv2d(3, 5, 3, stride=2, padding=1),
        nn.Conv2d(3, 5, (1, 3), stride=(2, 1), padding=(0, 2)),
        nn.Conv2d(3, 5, 1, stride=2),
        nn.Conv2d(4, 6, 3, groups=2),
        nn.Conv2d(3, 5, 2, dilation=2),
        nn.Conv2d(3, 5, 3, padding="same"),
        nn.Conv2d(3, 5, 3, padding=1, padding_mode="circular"),
    ],
    ids=str,
)
def test_a_convolution_is_pytorchs(
    convolution: nn.Conv2d, size: tuple[int, int], precision: torch.dtype
) -> None:
    theirs, ours = pair(copy.deepcopy(convolution).to(precision))
    images = torch.randn(6, theirs.in_channels, *size, generator=seeded()).to(precision)
    direction = torch.randn(theirs(images).shape, generator=seeded(1)).to(precision)
    answer, gradients = answer_and_gradients(ours, images, direction)
    expected, expected_gradients = answer_and_gradients(theirs, images, direction)
    assert answer.equal(expected)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        # Products of bfloat16 are added in another order, and rounded once more or less.
        slack = float(other.abs().max()) / (2**6 if precision == torch.bfloat16 else 2**40)
        assert_close(gradient, other, rtol=0, atol=slack)


def test_a_convolution_multiplies_in_the_precision_of_its_surroundings() -> None:
    theirs, ours = pair(nn.Conv2d(3, 5, 3, padding=1))
    images = torch.randn(6, 3, 4, 4, generator=seeded())
    direction = torch.randn(6, 5, 4, 4, generator=seeded(1))
    with torch.autocast("cpu", torch.bfloat16):
        answer, gradients = answer_and_gradients(ours, images, direction.bfloat16())
        expected, _ = answer_and_gradients(theirs, images, direction.bfloat16())
    assert answer.dtype == torch.bfloat16
    assert answer.equal(expected)
    exact = answer_and_gradients(theirs, images, direction)[1]
    for gradient, other in zip(gradients, exact, strict=True):
        assert gradient.dtype == torch.float32
        assert_close(gradient, other, rtol=0, atol=float(other.abs().max()) / 2**6)


@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_what_is_frozen_gets_no_gradient(frozen: str) -> None:
    theirs, ours = pair(nn.Conv2d(3, 5, 3, padding=1))
    images = torch.randn(6, 3, 2, 2, generator=seeded())
    for convolution in (theirs, ours):
        convolution.get_parameter(frozen).requires_grad_(False)
        convolution(images).square().sum().backward()
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert (parameter.grad is None) == (other.grad is None)
        if other.grad is not None:
            assert_close(parameter.grad, other.grad)


class Doubled(nn.Conv2d):
    """A convolution of somebody's own."""

    def forward(self, images: Tensor) -> Tensor:
        return 2 * F.conv2d(images, self.weight, self.bias)


def test_convolutions_of_other_kinds_are_left_alone() -> None:
    network = nn.Sequential(
        Doubled(3, 4, 1),
        nn.Conv1d(3, 4, 1),
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 1)),
    )
    kinds = [type(module) for module in network]
    quicken(network)
    assert [type(module) for module in network] == kinds


def test_quickening_keeps_parameters_names_and_hooks() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    seen: list[tuple[int, ...]] = []
    network[0].register_forward_hook(lambda _module, _inputs, answer: seen.append(answer.shape))
    parameters = dict(network.named_parameters())
    quicken(network)
    network(torch.zeros(2, 3, 1, 1))
    assert seen == [(2, 4, 1, 1)]
    assert all(network.get_parameter(name) is value for name, value in parameters.items())
