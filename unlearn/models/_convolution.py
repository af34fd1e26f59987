"""Convolutions as PyTorch's, whose training is faster on a CPU where images have become small.

oneDNN's convolutions are made for large images. On answers of 4×4 positions and fewer its gradient
of the weights takes up to 18 times as long as a product of matrices that says the same.
"""

import math
from collections import defaultdict
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

Pair = tuple[int, ...]
"""Of height and width, or vertical and horizontal: two."""

FEW_POSITIONS = defaultdict(lambda: 4, {torch.bfloat16: 16})
"""On answers of up to so many positions, by their precision, a product is the quicker gradient of
the weights, whatever the channels and the batch."""

FEW_LINKS = 16
"""Where an image's positions × its answer's are so few, all of the convolution is one product."""


def quicken(network: nn.Module) -> None:
    """Make all convolutions of a network `Convolution`, in place; its parameters stay."""
    for module in network.modules():
        if type(module) is nn.Conv2d:
            module.__class__ = Convolution


class Convolution(nn.Conv2d):
    """A two-dimensional convolution. Without gradients it is PyTorch's, bit for bit."""

    def _conv_forward(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        stride, padding = self.stride, self.padding
        trained = weight.requires_grad and torch.is_grad_enabled()
        if not trained or isinstance(padding, str) or not self._is_plain(images):
            plain: Tensor = super()._conv_forward(images, weight, bias)
            return plain
        if torch.is_autocast_enabled("cpu"):
            precision = torch.get_autocast_dtype("cpu")
            images, weight = images.to(precision), weight.to(precision)
            bias = None if bias is None else bias.to(precision)
        links = math.prod(images.shape[2:]) * math.prod(
            answer_size(images.shape[2:], self.kernel_size, stride, padding)
        )
        convolve = _ConvolveTiny if 0 < links <= FEW_LINKS else _Convolve
        answer: Tensor = convolve.apply(images, weight, bias, stride, padding)
        return answer

    def _is_plain(self, images: Tensor) -> bool:
        """Whether the functions below can do it."""
        return (
            images.device.type == "cpu"
            and images.dim() == 4
            and self.groups == 1
            and self.dilation == (1, 1)
            and self.padding_mode == "zeros"
        )


def answer_size(images: Pair, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """The size of a convolution's answers to images of a size."""
    return tuple(
        (length + 2 * padding[axis] - kernel[axis]) // stride[axis] + 1
        for axis, length in enumerate(images)
    )


class _Convolve(torch.autograd.Function):
    """Images B×C×H×W by weights O×C×h×w; if there are few positions, the weights' gradient is one
    product."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.has_bias, ctx.stride, ctx.padding = bias is not None, stride, padding
        return F.conv2d(images, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        few = gradient[0, 0].numel() <= FEW_POSITIONS[gradient.dtype]
        of_images, of_weight, of_bias = torch.ops.aten.convolution_backward(
            gradient,
            images,
            weight,
            [len(weight)] if ctx.has_bias else None,
            ctx.stride,
            ctx.padding,
            dilation=[1, 1],
            transposed=False,
            output_padding=[0, 0],
            groups=1,
            output_mask=[ctx.needs_input_grad[0], not few, ctx.needs_input_grad[2]],
        )
        if few:
            of_weight = _gradient_of_weight(images, gradient, weight, ctx.stride, ctx.padding)
        return of_images, of_weight, of_bias, None, None


def _gradient_of_weight(
    images: Tensor, gradient: Tensor, weight: Tensor, stride: Pair, padding: Pair
) -> Tensor:
    """The sum, over all positions of the answers, of gradient × the patch of the images that the
    position has seen."""
    maps, channels, height, width = weight.shape
    vertical, horizontal = padding
    padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, horizontal, horizontal, vertical, vertical))
    windows = padded.unfold(1, height, stride[0]).unfold(2, width, stride[1])
    patches = windows.permute(0, 1, 2, 4, 5, 3).reshape(-1, height * width * channels)
    product = gradient.permute(0, 2, 3, 1).reshape(-1, maps).t() @ patches
    return product.view(maps, height, width, channels).permute(0, 3, 1, 2)


class _ConvolveTiny(torch.autograd.Function):
    """The same as one linear layer, from all positions and channels of an image to all of its
    answer: a kernel's weight stands in its matrix as often as it links two positions."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
    ) -> Tensor:
        (batch, channels, *size), (maps, _, *kernel) = images.shape, weight.shape
        height, width = answer_size(tuple(size), tuple(kernel), stride, padding)
        links = _links(tuple(size), (height, width), tuple(kernel), stride, padding)
        weights = weight.permute(0, 2, 3, 1).reshape(maps, -1, channels)
        with_none = F.pad(weights, (0, 0, 0, 1))
        matrix = with_none[:, links].transpose(0, 1).reshape(height * width * maps, -1)
        flat = images.permute(0, 2, 3, 1).reshape(batch, -1)
        ctx.save_for_backward(flat, matrix, links)
        ctx.images, ctx.weight = images.shape, weight.shape
        answer = (flat @ matrix.t()).view(batch, height, width, maps).permute(0, 3, 1, 2)
        return answer if bias is None else answer + bias[:, None, None]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        flat, matrix, links = ctx.saved_tensors
        (batch, channels, *size), (maps, _, *kernel) = ctx.images, ctx.weight
        of_answer = gradient.permute(0, 2, 3, 1).reshape(batch, -1)
        of_images = of_bias = None
        if ctx.needs_input_grad[0]:
            of_images = (of_answer @ matrix).view(batch, *size, channels).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(dim=(0, 2, 3))
        of_matrix = (of_answer.t() @ flat).view(len(links), maps, -1, channels)
        of_links = of_matrix.transpose(0, 1).reshape(maps, -1, channels)
        weights = kernel[0] * kernel[1]
        of_weights = of_links.new_zeros(maps, weights + 1, channels)
        of_weights.index_add_(1, links.flatten(), of_links)
        of_weight = of_weights[:, :weights].reshape(maps, *kernel, channels).permute(0, 3, 1, 2)
        return of_images, of_weight, of_bias, None, None


@lru_cache
def _links(images: Pair, answers: Pair, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
    """Which position of the kernel links each position of an answer with each of the images.

    Args:
        images, answers, kernel: their sizes.

    Returns:
        Answer's positions × image's; one beyond the kernel's last where it links them not at all.
    """

    def offsets(axis: int) -> Tensor:
        of_images, of_answers = torch.arange(images[axis]), torch.arange(answers[axis])
        return of_images - of_answers[:, None] * stride[axis] + padding[axis]

    down, right = offsets(0)[:, None, :, None], offsets(1)[None, :, None, :]
    inside = (down >= 0) & (down < kernel[0]) & (right >= 0) & (right < kernel[1])
    linked = torch.where(inside, down * kernel[1] + right, kernel[0] * kernel[1])
    return linked.flatten(2).flatten(0, 1)
