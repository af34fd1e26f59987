"""The progressive Gaussian mechanism."""

import pytest
import torch
from torch import Tensor

from unlearn.noise import add_gaussian_noise

GREY = torch.full((40, 1, 50, 50), 0.5)


def noisy(
    images: Tensor, *, alpha: int, sigma: float = 1.0, mu: float = 0.0, seed: int = 0
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return add_gaussian_noise(images, alpha=alpha, sigma=sigma, mu=mu, generator=generator)


@pytest.mark.parametrize(
    ("alpha", "sigma", "mu"),
    [(1, 1.0, 0.0), (3, 0.5, 0.0), (20, 0.1, -0.2), (2, 2.0, 0.7), (10**30, 0.5, 0.0)],
)
def test_noise_has_mean_alpha_mu_and_standard_deviation_alpha_sigma(
    alpha: int, sigma: float, mu: float
) -> None:
    noise = (noisy(GREY, alpha=alpha, sigma=sigma, mu=mu) - GREY).double()
    error = alpha * sigma / GREY.numel() ** 0.5  # standard error of the mean
    assert noise.mean() == pytest.approx(alpha * mu, abs=5 * error)
    assert noise.std() == pytest.approx(alpha * sigma, abs=5 * error)


def test_noise_is_gaussian() -> None:
    standardised = ((noisy(GREY, alpha=4, sigma=0.5) - GREY) / 2.0).double()
    for z, share in ((1, 0.682689), (2, 0.954500), (3, 0.997300)):
        within = (standardised.abs() < z).double().mean()
        assert within == pytest.approx(share, abs=0.01)


def test_every_pixel_of_every_image_gets_noise_of_its_own() -> None:
    noise = (noisy(GREY, alpha=1) - GREY).flatten(1)
    correlation = torch.corrcoef(noise) - torch.eye(len(noise))
    # 2,500 pixels: the correlation of independent images has standard deviation 0.02.
    assert correlation.abs().max() < 0.12


def test_level_zero_changes_nothing() -> None:
    assert torch.equal(noisy(GREY, alpha=0, mu=5.0), GREY)


def test_level_zero_does_not_mean_to_draw() -> None:
    assert torch.equal(noisy(GREY, alpha=0, seed=0), noisy(GREY, alpha=0, seed=1))


def test_noise_leaves_the_pixel_range() -> None:
    images = noisy(GREY, alpha=3)
    assert images.min() < -3
    assert images.max() > 4


def test_the_level_scales_one_and_the_same_draw() -> None:
    weak, strong = (noisy(GREY, alpha=a, mu=0.1) - GREY for a in (1, 6))
    torch.testing.assert_close(strong, 6 * weak, rtol=1e-5, atol=1e-5)


def test_the_generator_decides_the_draw() -> None:
    first, again, other = (noisy(GREY, alpha=1, seed=s) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_bytes_are_taken_to_pixel_space_first() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(4, 1, 8, 8)
    result = noisy(images, alpha=2)
    assert result.dtype == torch.float32
    assert torch.equal(result, noisy(images / 255, alpha=2))


def test_the_images_given_are_left_as_they_are() -> None:
    images = GREY.clone()
    noisy(images, alpha=2)
    assert torch.equal(images, GREY)
