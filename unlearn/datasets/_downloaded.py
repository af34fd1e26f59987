"""CIFAR-10, CIFAR-100, SVHN, Fashion-MNIST and MNIST: torchvision's downloads and readers.

CIFAR's files are Python pickles, and opening a pickle can run any code. None is opened before its
MD5 sum has been found to be the one that torchvision knows.
"""

import http.client
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from unlearn.datasets._samples import Dataset, Samples
from unlearn.errors import InputError

TIMEOUT = 10.0
"""Seconds without an answer or a byte after which a download is given up."""

# What a download may end in, and what reading files raises that are not what their names say.
FAILED = (OSError, RuntimeError, EOFError, http.client.HTTPException)
DAMAGED = (*FAILED, ValueError, TypeError, AssertionError, KeyError)

DIGITS = tuple(str(digit) for digit in range(10))


@dataclass(frozen=True)
class Archive:
    """What is downloaded.

    Attributes:
        path: where it is put, relative to the data folder; unpacked there, if it is packed.
        urls: where it can be had, in the order to try.
        md5: its checksum.
    """

    path: Path
    urls: tuple[str, ...]
    md5: str


@dataclass(frozen=True)
class _Source(ABC):
    """A data set of torchvision's.

    Attributes:
        torchvision_name: of its class.
    """

    torchvision_name: str

    @property
    def loader(self) -> Any:
        """torchvision's class."""
        from torchvision import datasets

        return getattr(datasets, self.torchvision_name)

    @abstractmethod
    def archives(self) -> list[Archive]:
        """All that is downloaded."""

    @abstractmethod
    def files(self) -> list[tuple[Path, str | None]]:
        """All that is read, relative to the data folder, with the checksums that are known."""

    @abstractmethod
    def read(self, folder: Path) -> Dataset:
        """Read the files, which are there."""


class _Cifar(_Source):
    def archives(self) -> list[Archive]:
        return [Archive(Path(self.loader.filename), (self.loader.url,), self.loader.tgz_md5)]

    def files(self) -> list[tuple[Path, str | None]]:
        meta = (self.loader.meta["filename"], self.loader.meta["md5"])
        listed = [*self.loader.train_list, *self.loader.test_list, meta]
        return [(Path(self.loader.base_folder, name), md5) for name, md5 in listed]

    def read(self, folder: Path) -> Dataset:
        train, test = (self.loader(folder, train=part) for part in (True, False))
        return Dataset(
            _samples(train.data.transpose(0, 3, 1, 2), train.targets),
            _samples(test.data.transpose(0, 3, 1, 2), test.targets),
            tuple(train.classes),
        )


class _Svhn(_Source):
    def archives(self) -> list[Archive]:
        listed = (self.loader.split_list[part] for part in ("train", "test"))
        return [Archive(Path(name), (url,), md5) for url, name, md5 in listed]

    def files(self) -> list[tuple[Path, str | None]]:
        return [(archive.path, archive.md5) for archive in self.archives()]

    def read(self, folder: Path) -> Dataset:
        train, test = (self.loader(folder, split=part) for part in ("train", "test"))
        return Dataset(_samples(train.data, train.labels), _samples(test.data, test.labels), DIGITS)


class _Mnist(_Source):
    def archives(self) -> list[Archive]:
        raw = Path(self.torchvision_name, "raw")
        return [
            Archive(raw / name, tuple(mirror + name for mirror in self.loader.mirrors), md5)
            for name, md5 in self.loader.resources
        ]

    def files(self) -> list[tuple[Path, str | None]]:
        return [(archive.path.with_suffix(""), None) for archive in self.archives()]

    def read(self, folder: Path) -> Dataset:
        train, test = (self.loader(folder, train=part) for part in (True, False))
        return Dataset(
            _samples(train.data.numpy()[:, None], train.targets),
            _samples(test.data.numpy()[:, None], test.targets),
            DIGITS if self.torchvision_name == "MNIST" else tuple(self.loader.classes),
        )


SOURCES: dict[str, _Source] = {
    "cifar10": _Cifar("CIFAR10"),
    "cifar100": _Cifar("CIFAR100"),
    "svhn": _Svhn("SVHN"),
    "fashion-mnist": _Mnist("FashionMNIST"),
    "mnist": _Mnist("MNIST"),
}


def load_downloaded(name: str, folder: Path) -> Dataset:
    """One of `SOURCES`, from a folder that it is downloaded to where it is not there yet.

    Args:
        folder: as torchvision lays it out, so that other programs may share it.

    Raises:
        InputError: it cannot be downloaded, and which file to put where; or a file is damaged.
    """
    source = SOURCES[name]
    if _faulty(source, folder) is not None:
        with _alone_with(folder, name):
            _download(source, folder)
    try:
        dataset = source.read(folder)
        _check(dataset)
    except DAMAGED as error:
        raise InputError(
            f"the files of {name} in {folder} are damaged ({type(error).__name__}: {error})",
            f"remove what is unpacked in {folder / source.files()[0][0].parent}; it is made anew",
        ) from None
    return dataset


def _download(source: _Source, folder: Path) -> None:
    """Download and unpack a data set, unless somebody else was doing it until now."""
    if _faulty(source, folder) is None:
        return
    for archive in source.archives():
        _fetch(archive, folder)
    faulty = _faulty(source, folder)
    if faulty is not None:
        raise InputError(
            f"{faulty} is missing or damaged, though it has just been unpacked", "try once more"
        )


def _faulty(source: _Source, folder: Path) -> Path | None:
    """The first file that is not there or has the wrong checksum."""
    from torchvision.datasets.utils import check_integrity

    for path, md5 in source.files():
        try:
            if not check_integrity(folder / path, md5):
                return folder / path
        except OSError as error:
            raise InputError(
                f"cannot read {folder / path}: {error.strerror}", "make it readable"
            ) from None
    return None


def _fetch(archive: Archive, folder: Path) -> None:
    """Download an archive unless it is there, and unpack it."""
    from torchvision.datasets.utils import download_url, extract_archive

    path = folder / archive.path
    reasons: list[str] = []
    for url in archive.urls:
        try:
            with _time_limit():
                download_url(url, path.parent, path.name, archive.md5)
            break
        except FAILED as error:
            reasons.append(" ".join(str(error).split()))
    else:
        state = "is damaged" if path.exists() else "is not there"
        raise InputError(
            f"{path} {state}, and cannot be downloaded: {reasons[0]}",
            f"get {archive.urls[0]} (MD5 sum {archive.md5}) and put it there",
        )
    if path.suffix == ".gz":
        extract_archive(path, path.parent)


@contextmanager
def _alone_with(folder: Path, name: str) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{name}.lock"):
            yield
    except OSError as error:
        raise InputError(
            f"{name} cannot be kept in {folder}: {error.strerror}",
            "name another folder with --data-dir, or as data.dir in the definition",
        ) from None


@contextmanager
def _time_limit() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _samples(images: np.ndarray[Any, Any], labels: Any) -> Samples:
    """From N×C×H×W uint8 in any memory order."""
    return Samples(
        torch.from_numpy(np.ascontiguousarray(images)), torch.as_tensor(labels, dtype=torch.int64)
    )


def _check(dataset: Dataset) -> None:
    for samples in (dataset.train, dataset.test):
        images, labels = samples
        if images.dtype != torch.uint8 or images.ndim != 4 or labels.shape != images.shape[:1]:
            raise ValueError(f"{_shape(images)} images have {_shape(labels)} labels")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(dataset.classes):
            raise ValueError(f"a label is not among the {len(dataset.classes)} classes")


def _shape(tensor: Tensor) -> str:
    return f"{tensor.dtype} {'×'.join(map(str, tensor.shape))}"
