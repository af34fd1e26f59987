"""The shape every data set has once it is loaded."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor


class Samples(NamedTuple):
    """Labelled images.

    Attributes:
        images: N×C×H×W, uint8 in 0..255 or float32 in pixel space [0, 1] (noise may leave it).
        labels: N, int64, positions in the data set's list of classes.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:  # a NamedTuple would answer 2
        return int(self.labels.shape[0])

    def take(self, index: Tensor) -> "Samples":
        """The samples at `index` (int64 positions or a boolean mask), in that order."""
        index = index.to(self.labels.device)
        return Samples(self.images[index], self.labels[index])

    def to(self, device: torch.device) -> "Samples":
        return Samples(self.images.to(device), self.labels.to(device))


def to_unit(images: Tensor) -> Tensor:
    """Images as float32 in pixel space: uint8 is divided by 255, floats pass unchanged."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images


@dataclass(frozen=True)
class Dataset:
    """A data set with its customary split.

    Attributes:
        train: the samples θ_o is trained on (D_o), uint8.
        test: samples that no model is trained on, uint8.
        classes: one name per label.
        files: of the training samples, by position: `<class>/<file>`; None if they lie in none of
            their own.
    """

    train: Samples
    test: Samples
    classes: tuple[str, ...]
    files: tuple[str, ...] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """A SHA-256 over every pixel and label: two data sets are the same iff it is."""
        digest = hashlib.sha256("\0".join(self.classes).encode())
        for samples in (self.train, self.test):
            for tensor in samples:
                digest.update(repr(tuple(tensor.shape)).encode())
                digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()
