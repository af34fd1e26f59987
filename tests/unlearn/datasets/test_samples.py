"""Samples and data sets."""

from dataclasses import replace

import pytest
import torch

from unlearn.datasets import Dataset, Samples, to_unit


@pytest.fixture
def samples() -> Samples:
    images = torch.arange(4 * 2 * 3, dtype=torch.uint8).view(4, 1, 2, 3)
    return Samples(images, torch.tensor([3, 1, 2, 0]))


@pytest.fixture
def dataset(samples: Samples) -> Dataset:
    return Dataset(train=samples, test=samples.take(torch.tensor([0, 1])), classes=("a", "b"))


def test_the_length_is_the_number_of_samples(samples: Samples) -> None:
    assert len(samples) == 4


def test_take_keeps_the_order_of_the_positions(samples: Samples) -> None:
    taken = samples.take(torch.tensor([2, 0]))
    assert taken.labels.tolist() == [2, 3]
    assert torch.equal(taken.images, torch.stack([samples.images[2], samples.images[0]]))


def test_take_accepts_a_mask(samples: Samples) -> None:
    taken = samples.take(torch.tensor([False, True, False, True]))
    assert taken.labels.tolist() == [1, 0]
    assert torch.equal(taken.images, torch.stack([samples.images[1], samples.images[3]]))


def test_bytes_become_unit_floats_and_keep_the_original() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8)
    unit = to_unit(images)
    torch.testing.assert_close(unit, torch.tensor([0.0, 0.2, 1.0]))
    assert images.tolist() == [0, 51, 255]


def test_floats_pass_unchanged() -> None:
    images = torch.tensor([-1.5, 0.25, 3.0])
    assert torch.equal(to_unit(images), images)


def test_equal_data_have_equal_fingerprints(dataset: Dataset) -> None:
    copy = Dataset(
        train=Samples(*(tensor.clone() for tensor in dataset.train)),
        test=Samples(*(tensor.clone() for tensor in dataset.test)),
        classes=("a", "b"),
    )
    assert copy.fingerprint == dataset.fingerprint


def test_the_fingerprint_tells_every_difference(dataset: Dataset) -> None:
    train, test = dataset.train, dataset.test
    pixel = train.images.clone()
    pixel[3, 0, 1, 2] += 1
    label = test.labels.clone()
    label[1] = 0
    different = [
        dataset,
        replace(dataset, train=Samples(pixel, train.labels)),
        replace(dataset, test=Samples(test.images, label)),
        replace(dataset, train=Samples(train.images.view(4, 1, 3, 2), train.labels)),
        replace(dataset, train=train.take(torch.tensor([1, 0, 2, 3]))),
        replace(dataset, classes=("a", "c")),
        replace(dataset, train=test, test=train),
    ]
    assert len({each.fingerprint for each in different}) == len(different)
