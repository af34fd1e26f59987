"""The usual augmentation of small images: crops of the padded image, and mirror images."""

import torch
from torch import Tensor
from torch.nn import functional as F

PADDING = 4
"""Pixels of black on every side, of which a crop takes some in."""


def draw_crops(count: int, generator: torch.Generator) -> Tensor:
    """What is done to each of `count` images.

    Returns:
        count×3, int64: how far down and to the right the crop begins, both in 0..2·`PADDING`, and
        whether it is mirrored, 0 or 1; all uniform and independent.
    """
    corners = torch.randint(2 * PADDING + 1, (count, 2), generator=generator)
    mirrored = torch.randint(2, (count, 1), generator=generator)
    return torch.cat([corners, mirrored], dim=1)


def crop_and_mirror(images: Tensor, crops: Tensor) -> Tensor:
    """Pad each image, cut its crop of the original size out, and mirror it left to right.

    Args:
        images: B×C×H×W, of any type.
        crops: B×3 of `draw_crops`, on the images' device.

    Returns:
        B×C×H×W.
    """
    count, _, height, width = images.shape
    down, right, mirrored = crops[:, :, None].unbind(1)
    rows = down + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device).expand(count, -1)
    columns = right + torch.where(mirrored.bool(), columns.flip(1), columns)
    padded = F.pad(images, (PADDING,) * 4)
    which = torch.arange(count, device=images.device)[:, None, None]
    # Indices around a slice: the channels come out last.
    return padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
