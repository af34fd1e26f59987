"""From a data set's name to its tensors."""

from dataclasses import replace
from pathlib import Path

import torch

from unlearn.datasets._digits import load_digits
from unlearn.datasets._downloaded import SOURCES, load_downloaded
from unlearn.datasets._folder import load_folder
from unlearn.datasets._samples import Dataset, Samples, to_unit
from unlearn.datasets._split import stratified_subset
from unlearn.errors import InputError
from unlearn.files import cache_folder
from unlearn.seeds import generator


def load(
    name: str,
    *,
    seed: int,
    train_limit: int | None = None,
    test_limit: int | None = None,
    pixel_noise: float = 0.0,
    folder: Path | None = None,
) -> Dataset:
    """Load a data set.

    Args:
        name: `digits`, `folder:PATH`, or one that is downloaded: `cifar10`, `cifar100`, `svhn`,
            `fashion-mnist`, `mnist`.
        seed: draws the stratified subsets and the pixel noise.
        train_limit, test_limit: keep a stratified subset of this size; all by default.
        pixel_noise: standard deviation, in pixel space [0, 1], of Gaussian noise that becomes a
            fixed part of every image (clipped to [0, 1]); it makes an easy data set harder.
        folder: where downloads are kept; default: `pareto-search/data` in the user's cache.

    Raises:
        InputError: no such data set, or its files are missing or unusable, or can't be downloaded.
    """
    if name == "digits":
        dataset = load_digits()
    elif name.startswith("folder:"):
        path = Path(name.removeprefix("folder:"))
        return _noisy(load_folder(path, seed, train_limit, test_limit), pixel_noise, seed)
    elif name in SOURCES:
        dataset = load_downloaded(name, folder or cache_folder() / "data")
    else:
        known = ", ".join(["digits", *SOURCES, "folder:PATH"])
        raise InputError(f"no data set is called {name!r}", f"use one of {known}")
    dataset = replace(
        dataset,
        train=_limited(dataset.train, train_limit, seed, "train"),
        test=_limited(dataset.test, test_limit, seed, "test"),
    )
    return _noisy(dataset, pixel_noise, seed)


def _limited(samples: Samples, limit: int | None, seed: int, part: str) -> Samples:
    if limit is None or limit >= len(samples):
        return samples
    return samples.take(stratified_subset(samples.labels, limit, generator(seed, "subset", part)))


def _noisy(dataset: Dataset, std: float, seed: int) -> Dataset:
    if std == 0:
        return dataset

    def disturb(samples: Samples, part: str) -> Samples:
        noise = torch.randn(samples.images.shape, generator=generator(seed, "pixel noise", part))
        noisy = (to_unit(samples.images) + std * noise).clamp_(0, 1)
        return Samples(noisy.mul_(255).round_().to(torch.uint8), samples.labels)

    return replace(
        dataset, train=disturb(dataset.train, "train"), test=disturb(dataset.test, "test")
    )
