"""Layers that compute what PyTorch's own do, faster on a CPU."""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

FEW_POSITIONS = defaultdict(lambda: 4, {torch.bfloat16: 16})
"""On answers of up to so many positions, by their precision, a product is the quicker gradient of a
convolution's weights, whatever the channels and the batch."""


def quicken(network: nn.Module) -> None:
    """Make all convolutions of a network `Convolution`, in place; its parameters stay."""
    for module in network.modules():
        if type(module) is nn.Conv2d:
            module.__class__ = Convolution


class Convolution(nn.Conv2d):
    """A convolution whose weights get their gradient from one product where its answers are small.

    oneDNN's way to it is made for large answers: on those of 4×4 positions and fewer it takes up to
    18 times as long as the product.
    """

    def _conv_forward(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not weight.requires_grad or not torch.is_grad_enabled() or not self._is_plain(images):
            plain: Tensor = super()._conv_forward(images, weight, bias)
            return plain
        if torch.is_autocast_enabled("cpu"):
            precision = torch.get_autocast_dtype("cpu")
            images, weight = images.to(precision), weight.to(precision)
            bias = None if bias is None else bias.to(precision)
        answer: Tensor = _Convolve.apply(images, weight, bias, self.stride, self.padding)
        return answer

    def _is_plain(self, images: Tensor) -> bool:
        """Whether `_Convolve` can do it."""
        return (
            images.device.type == "cpu"
            and images.dim() == 4
            and self.groups == 1
            and self.dilation == (1, 1)
            and self.padding_mode == "zeros"
            and not isinstance(self.padding, str)
        )


class _Convolve(torch.autograd.Function):
    """`F.conv2d` of images B×C×H×W by weights O×C×h×w."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
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
    images: Tensor,
    gradient: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Tensor:
    """Of a convolution: over all positions of its answers, gradient × the patch of the images that
    the position has seen."""
    maps, channels, height, width = weight.shape
    vertical, horizontal = padding
    padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, horizontal, horizontal, vertical, vertical))
    windows = padded.unfold(1, height, stride[0]).unfold(2, width, stride[1])
    patches = windows.permute(0, 1, 2, 4, 5, 3).reshape(-1, height * width * channels)
    product = gradient.permute(0, 2, 3, 1).reshape(-1, maps).t() @ patches
    return product.view(maps, height, width, channels).permute(0, 3, 1, 2)


class GlobalAverage(nn.Module):
    """The mean of each channel, B×C×H×W -> B×C×1×1.

    The gradient of `nn.AdaptiveAvgPool2d` has strides of 0, by which the layer before is slowed
    down ten times.
    """

    def forward(self, images: Tensor) -> Tensor:
        average: Tensor = _Average.apply(images)
        return average


class _Average(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        ctx.shape = images.shape
        return images.mean(dim=(2, 3), keepdim=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        share: Tensor = gradient / (ctx.shape[2] * ctx.shape[3])
        return share.expand(ctx.shape).contiguous(memory_format=torch.channels_last)
