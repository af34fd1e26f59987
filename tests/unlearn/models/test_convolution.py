"""Our own convolution is PyTorch's."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from tests.unlearn.models.gradients import answer_and_gradients
from tests.unlearn.small import seeded
from unlearn.models._convolution import Convolution, quicken


def pair(convolution: nn.Conv2d) -> tuple[nn.Conv2d, nn.Conv2d]:
    """PyTorch's, with weights drawn from a seed, and ours with the same ones."""
    for parameter in convolution.parameters():
        nn.init.uniform_(parameter, -1, 1, generator=seeded())
    ours = copy.deepcopy(convolution)
    quicken(ours)
    assert type(ours) is Convolution
    return convolution, ours


# From those that are one product as a whole to those that have too many positions for any.
@pytest.mark.parametrize("size", [(2, 2), (3, 3), (4, 4), (4, 9), (9, 9)])
@pytest.mark.parametrize("precision", [torch.double, torch.bfloat16])
@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(3, 5, 3, padding=1),
        nn.Conv2d(3, 5, 3, padding=1, bias=False),
        nn.Conv2d(3, 5, 3, stride=2, padding=1),
        nn.Conv2d(3, 5, 5, padding=3),
        nn.Conv2d(3, 5, (1, 3), stride=(2, 1), padding=(0, 2)),
        nn.Conv2d(3, 5, 1, stride=2),
        nn.Conv2d(4, 6, 3, padding=1, groups=2),
        nn.Conv2d(3, 5, 2, padding=1, dilation=2),
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
    for ours_is, theirs_is in zip(
        [answer, *gradients], [expected, *expected_gradients], strict=True
    ):
        # Products of bfloat16 are added in another order, and rounded once more or less.
        slack = float(theirs_is.abs().max()) / (2**6 if precision == torch.bfloat16 else 2**40)
        assert_close(ours_is, theirs_is, rtol=0, atol=slack)
    with torch.no_grad():
        assert ours(images).equal(theirs(images))


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


def test_a_kernel_larger_than_the_image_is_refused_as_by_pytorch() -> None:
    theirs, ours = pair(nn.Conv2d(3, 5, 3))
    for convolution in (theirs, ours):
        with pytest.raises(RuntimeError, match="greater than actual input size"):
            convolution(torch.zeros(1, 3, 2, 2))
