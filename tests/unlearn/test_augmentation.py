"""Random crops and mirror images."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from unlearn.augmentation import PADDING, crop_and_mirror, draw_crops

SIZES = [(8, 8), (5, 11)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def every_crop() -> Tensor:
    """All that can be drawn."""
    span = range(2 * PADDING + 1)
    return torch.tensor([(down, right, m) for down in span for right in span for m in (0, 1)])


def random_images(count: int, channels: int, height: int, width: int) -> Tensor:
    shape = (count, channels, height, width)
    return torch.randint(1, 256, shape, generator=seeded()).to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_crop_is_that_of_torchvision(channels: int, height: int, width: int) -> None:
    crops = every_crop()
    images = random_images(len(crops), channels, height, width)
    cropped = crop_and_mirror(images, crops)
    assert cropped.dtype == images.dtype
    for image, (down, right, mirrored), ours in zip(images, crops.tolist(), cropped, strict=True):
        theirs = transforms.crop(transforms.pad(image, [4]), down, right, height, width)
        if mirrored:
            theirs = transforms.horizontal_flip(theirs)
        assert torch.equal(ours, theirs)


def test_every_crop_is_that_of_numpy_for_floats_too() -> None:
    crops = every_crop()
    images = torch.rand(len(crops), 2, 6, 7, generator=seeded())
    for image, (down, right, mirrored), ours in zip(
        images.numpy(), crops.tolist(), crop_and_mirror(images, crops), strict=True
    ):
        padded: NDArray[np.float32] = np.pad(image, ((0, 0), (4, 4), (4, 4)))
        theirs = padded[:, down : down + 6, right : right + 7]
        assert np.array_equal(ours.numpy(), theirs[..., ::-1] if mirrored else theirs)


def test_the_middle_is_the_image_itself() -> None:
    images = random_images(3, 3, 8, 8)
    crops = torch.tensor([[PADDING, PADDING, 0]]).expand(3, 3)
    assert torch.equal(crop_and_mirror(images, crops), images)


def test_all_crops_are_drawn_equally_often() -> None:
    drawn = draw_crops(16200, seeded())
    assert drawn.shape == (16200, 3)
    kinds, times = drawn.unique(dim=0, return_counts=True)
    assert torch.equal(kinds, every_crop())
    # Binomial(16200, 1/162): mean 100, standard deviation 10.
    assert (times - 100).abs().max() < 45


def test_the_generator_decides() -> None:
    assert torch.equal(draw_crops(50, seeded(1)), draw_crops(50, seeded(1)))
    assert not torch.equal(draw_crops(50, seeded(1)), draw_crops(50, seeded(2)))


def test_no_image_is_augmented_to_no_image() -> None:
    assert crop_and_mirror(random_images(0, 3, 8, 8), draw_crops(0, seeded())).shape == (0, 3, 8, 8)
