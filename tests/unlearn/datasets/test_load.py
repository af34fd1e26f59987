"""Loading by name: subsets and pixel noise."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from unlearn.datasets import Dataset, load
from unlearn.errors import InputError


def plain_images(folder: Path, level: int) -> str:
    """A data set of four images of 100×100 pixels, all of one grey level."""
    for part in ("train", "test"):
        for name in ("a", "b"):
            (folder / part / name).mkdir(parents=True)
            Image.fromarray(np.full((100, 100), level, np.uint8)).save(
                folder / part / name / "plain.png"
            )
    return f"folder:{folder}"


def images_of(dataset: Dataset) -> Tensor:
    return torch.cat([dataset.train.images, dataset.test.images])


def test_unknown_names_are_refused_and_the_known_ones_listed() -> None:
    with pytest.raises(InputError, match="no data set is called 'imagenet'") as caught:
        load("imagenet", seed=0)
    for name in ("digits", "cifar10", "folder:PATH"):
        assert name in caught.value.remedy


def test_limits_keep_stratified_subsets_of_that_size() -> None:
    full, small = load("digits", seed=0), load("digits", seed=0, train_limit=333, test_limit=77)
    for whole, part, size in ((full.train, small.train, 333), (full.test, small.test, 77)):
        assert len(part) == size
        before, after = Counter(whole.labels.tolist()), Counter(part.labels.tolist())
        assert all(abs(after[k] - before[k] * size / len(whole)) < 1 for k in before)


def test_limits_keep_every_label_with_its_image() -> None:
    full, small = load("digits", seed=0), load("digits", seed=0, train_limit=50)
    for image, label in zip(*small.train, strict=True):
        same = (full.train.images == image).flatten(1).all(dim=1)
        assert label in full.train.labels[same]


def test_the_seed_decides_the_subset() -> None:
    first, again, other = (load("digits", seed=s, train_limit=50) for s in (0, 0, 1))
    assert torch.equal(first.train.images, again.train.images)
    assert not torch.equal(first.train.images, other.train.images)


def test_a_limit_beyond_the_data_keeps_all_of_them() -> None:
    full, limited = load("digits", seed=0), load("digits", seed=0, train_limit=5000)
    assert limited.fingerprint == full.fingerprint


def test_pixel_noise_has_its_standard_deviation_on_mid_grey(tmp_path: Path) -> None:
    noisy = load(plain_images(tmp_path, 128), seed=0, pixel_noise=0.1)
    deviation = images_of(noisy).double() / 255 - 128 / 255
    assert deviation.std() == pytest.approx(0.1, abs=0.002)
    assert deviation.mean() == pytest.approx(0, abs=0.0012)


def test_pixel_noise_is_clipped_and_does_not_wrap_around(tmp_path: Path) -> None:
    noisy = load(plain_images(tmp_path, 0), seed=0, pixel_noise=0.1)
    # The mean of max(0, X) for X ~ 𝒩(0, σ²) is σ/√(2π).
    expected = 0.1 / math.sqrt(2 * math.pi)
    assert images_of(noisy).double().mean() / 255 == pytest.approx(expected, abs=0.002)


def test_noisy_images_are_bytes() -> None:
    noisy = load("digits", seed=0, train_limit=20, pixel_noise=0.3)
    assert noisy.train.images.dtype == noisy.test.images.dtype == torch.uint8


def test_the_seed_decides_the_pixel_noise() -> None:
    first, again, other = (load("digits", seed=s, pixel_noise=0.3) for s in (0, 0, 1))
    assert first.fingerprint == again.fingerprint
    assert not torch.equal(first.train.images, other.train.images)


def test_train_and_test_get_different_noise(tmp_path: Path) -> None:
    noisy = load(plain_images(tmp_path, 128), seed=0, pixel_noise=0.1)
    assert not torch.equal(noisy.train.images, noisy.test.images)


def test_pixel_noise_leaves_the_labels() -> None:
    clean, noisy = load("digits", seed=0), load("digits", seed=0, pixel_noise=0.3)
    assert torch.equal(clean.train.labels, noisy.train.labels)
    assert torch.equal(clean.test.labels, noisy.test.labels)


def test_no_pixel_noise_changes_nothing(tmp_path: Path) -> None:
    assert (images_of(load(plain_images(tmp_path, 77), seed=0, pixel_noise=0.0)) == 77).all()
