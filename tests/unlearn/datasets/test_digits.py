"""The handwritten digits."""

from collections import Counter

import numpy as np
import pytest
from sklearn.datasets import load_digits as sklearn_digits

from unlearn.datasets import Dataset, Samples, load


@pytest.fixture(scope="module")
def everything() -> Dataset:
    return load("digits", seed=0)


def test_a_thousand_train_and_797_test(everything: Dataset) -> None:
    assert (len(everything.train), len(everything.test)) == (1000, 797)


def test_classes_are_the_ten_digits(everything: Dataset) -> None:
    assert everything.classes == tuple("0123456789")


def test_both_parts_are_stratified(everything: Dataset) -> None:
    counts = Counter(sklearn_digits().target.tolist())
    for part, size in ((everything.train, 1000), (everything.test, 797)):
        kept = Counter(part.labels.tolist())
        assert all(abs(kept[label] - counts[label] * size / 1797) < 1 for label in range(10))


def test_the_parts_together_are_the_images_of_scikit_learn_with_their_labels(
    everything: Dataset,
) -> None:
    bunch = sklearn_digits()
    # The grey levels 0..16 are spread over 0..255.
    bytes_ = np.rint(bunch.images * 255 / 16).astype(np.uint8)
    expected = Counter(
        (image.tobytes(), int(label)) for image, label in zip(bytes_, bunch.target, strict=True)
    )

    def counted(samples: Samples) -> Counter[tuple[bytes, int]]:
        pairs = zip(samples.images.numpy(), samples.labels.tolist(), strict=True)
        return Counter((image.tobytes(), label) for image, label in pairs)

    assert counted(everything.train) + counted(everything.test) == expected


def test_the_split_does_not_depend_on_the_seed(everything: Dataset) -> None:
    assert load("digits", seed=7).fingerprint == everything.fingerprint
