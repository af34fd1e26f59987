"""The progressive Gaussian mechanism (ConMU, Eq. 5)."""

import torch
from torch import Tensor

from unlearn.datasets import to_unit


def add_gaussian_noise(
    images: Tensor, *, alpha: int, sigma: float, mu: float, generator: torch.Generator
) -> Tensor:
    """Images + α·N with N ~ 𝒩(μ, σ²), drawn once, in pixel space [0, 1] and not clipped.

    Args:
        images: N×C×H×W, uint8 or float in pixel space.
        alpha: noise level, a non-negative integer; the noise's standard deviation is α·σ.
        sigma, mu: standard deviation and mean of N, in units of the pixel range.
        generator: where the draw comes from.

    Returns:
        float32 of the images' shape and device.
    """
    clean = to_unit(images)
    if alpha == 0:
        return clean
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    return clean + float(alpha) * (mu + sigma * noise)
