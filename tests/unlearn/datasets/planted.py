"""Data sets that torchvision downloads: a few images each, in the formats of the real files.

The real files' checksums stand in torchvision's classes; those of ours are put there instead.
"""

import gzip
import hashlib
import io
import pickle
import tarfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError

import numpy as np
import scipy.io
from numpy.typing import NDArray
from torchvision import datasets as torchvision_datasets

Images = NDArray[np.uint8]

CLASSES = {
    "cifar10": tuple(f"thing {i}" for i in range(10)),
    "cifar100": tuple(f"thing {i}" for i in range(100)),
    "svhn": tuple("0123456789"),
    "fashion-mnist": tuple(torchvision_datasets.FashionMNIST.classes),
    "mnist": tuple("0123456789"),
}


class Part(NamedTuple):
    """Images N×H×W×C, and labels."""

    images: Images
    labels: list[int]


class Planted(NamedTuple):
    """A data set in a folder, packed as its authors pack it."""

    folder: Path
    train: Part
    test: Part


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def part(name: str, count: int, seed: int) -> Part:
    size, channels = (28, 1) if "mnist" in name else (32, 3)
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (count, size, size, channels), dtype=np.uint8)
    return Part(images, [(7 * i + seed) % len(CLASSES[name]) for i in range(count)])


def plant_cifar(loader: Any, folder: Path, train: Part, test: Part, patch: Any) -> None:
    label_key = loader.meta["key"].replace("label_names", "labels")

    def batch(images: Images, labels: list[int]) -> bytes:
        # One image a row: all red values, then all green, then all blue ones.
        rows = np.stack([image.transpose(2, 0, 1).ravel() for image in images])
        return pickle.dumps({"data": rows, label_key: labels}, protocol=2)

    names = [entry[0] for entry in loader.train_list]
    share = len(train.labels) // len(names)
    parts = [slice(i * share, (i + 1) * share) for i in range(len(names))]
    files = {
        name: batch(train.images[part], train.labels[part])
        for name, part in zip(names, parts, strict=True)
    }
    files[loader.test_list[0][0]] = batch(*test)
    classes = CLASSES["cifar10" if len(names) > 1 else "cifar100"]
    files[loader.meta["filename"]] = pickle.dumps({loader.meta["key"]: list(classes)})
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{loader.base_folder}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    (folder / loader.filename).write_bytes(packed.getvalue())
    patch(loader, "tgz_md5", md5(packed.getvalue()))
    patch(loader, "train_list", [[name, md5(files[name])] for name in names])
    patch(loader, "test_list", [[n, md5(files[n])] for n, _ in loader.test_list])
    patch(loader, "meta", {**loader.meta, "md5": md5(files[loader.meta["filename"]])})


def plant_svhn(loader: Any, folder: Path, train: Part, test: Part, patch: Any) -> None:
    listed = {}
    for which, (images, labels) in (("train", train), ("test", test)):
        url, name, _ = loader.split_list[which]
        # The image comes last, and 0 is called 10.
        ten = np.array([[label or 10] for label in labels], np.uint8)
        scipy.io.savemat(folder / name, {"X": images.transpose(1, 2, 3, 0), "y": ten})
        listed[which] = [url, name, md5((folder / name).read_bytes())]
    patch(loader, "split_list", listed)


def idx(array: Images) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def plant_mnist(loader: Any, folder: Path, train: Part, test: Part, patch: Any) -> None:
    raw = folder / loader.__name__ / "raw"
    raw.mkdir(parents=True)
    arrays = [
        array
        for images, labels in (train, test)
        for array in (images[..., 0], np.array(labels, np.uint8))
    ]
    resources = []
    for (name, _), array in zip(loader.resources, arrays, strict=True):
        (raw / name).write_bytes(gzip.compress(idx(array)))
        resources.append((name, md5((raw / name).read_bytes())))
    patch(loader, "resources", resources)


LOADERS: dict[str, tuple[Any, Callable[..., None]]] = {
    "cifar10": (torchvision_datasets.CIFAR10, plant_cifar),
    "cifar100": (torchvision_datasets.CIFAR100, plant_cifar),
    "svhn": (torchvision_datasets.SVHN, plant_svhn),
    "fashion-mnist": (torchvision_datasets.FashionMNIST, plant_mnist),
    "mnist": (torchvision_datasets.MNIST, plant_mnist),
}


def plant_into(folder: Path, name: str, patch: Any, train: int = 20, test: int = 6) -> Planted:
    """Put a data set of random images into a folder, which exists.

    Args:
        patch: called with a class of torchvision's, the name of an attribute, and its new value.
        train, test: how many images.
    """
    loader, write = LOADERS[name]
    parts = part(name, train, seed=1), part(name, test, seed=2)
    write(loader, folder, *parts, patch)
    return Planted(folder, *parts)


def cut_network(patch: Any) -> None:
    """Let nobody answer any more."""

    def refuse(request: urllib.request.Request, *_args: object, **_options: object) -> None:
        raise URLError(f"nobody answers at {request.full_url}")

    patch(urllib.request, "urlopen", refuse)
