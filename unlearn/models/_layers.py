"""Layers that compute what PyTorch's own do, faster on a CPU."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


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
