"""scikit-learn's handwritten digits: 1,797 grey images of 8×8 that ship with the library."""

from importlib.metadata import distribution

import numpy as np
import torch

from unlearn.datasets._samples import Dataset, Samples
from unlearn.datasets._split import stratified_subset
from unlearn.seeds import generator

TRAIN_SIZE = 1000


def load_digits() -> Dataset:
    """The digits, 1,000 for training and 797 for testing.

    scikit-learn gives no split, so ours is drawn once, stratified, and is the same for everyone.
    """
    # The file itself: importing sklearn.datasets takes longer than all else that a start does.
    file = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    # In each line 64 pixels of 0..16, and the digit.
    table = torch.from_numpy(np.loadtxt(str(file), delimiter=","))
    images = table[:, :-1].mul(255 / 16).round().to(torch.uint8).reshape(-1, 1, 8, 8)
    everything = Samples(images, table[:, -1].long())
    train = stratified_subset(everything.labels, TRAIN_SIZE, generator(0, "digits split"))
    is_train = torch.zeros(len(everything), dtype=torch.bool)
    is_train[train] = True
    return Dataset(
        train=everything.take(is_train),
        test=everything.take(~is_train),
        classes=tuple(str(digit) for digit in range(10)),
    )
