"""One's own images: `train/<class>/*` and `test/<class>/*`, in any format that Pillow reads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from unlearn.datasets._samples import Dataset, Samples
from unlearn.datasets._split import stratified_subset
from unlearn.errors import InputError, in_one_line
from unlearn.seeds import generator

SIXTEEN_BIT = ("PNG", "PPM")
"""Formats of which Pillow holds 16-bit images with 32 bits."""

LAYOUT = "lay the images out as PATH/train/<class>/* and PATH/test/<class>/*"


def load_folder(path: Path, seed: int, train_limit: int | None, test_limit: int | None) -> Dataset:
    """Load a folder of images of one size, all grey or else all taken as RGB.

    Labels number the class folders in alphabetical order; training index i is the i-th file when
    sorted by class and then by name. Limits draw a stratified subset before anything is decoded.

    Raises:
        InputError: a part is missing or empty, train and test name different classes, an image
            is damaged, or images differ in size.
    """
    train_classes, test_classes = _classes(path / "train"), _classes(path / "test")
    if train_classes != test_classes:
        odd = sorted(set(train_classes) ^ set(test_classes))[0]
        where = "train" if odd in train_classes else "test"
        raise InputError(
            f"class {odd!r} is in {path / where} only", "give train and test the same classes"
        )
    chosen: list[tuple[list[Path], torch.Tensor]] = []
    for part, limit in (("train", train_limit), ("test", test_limit)):
        files, labels = _files(path / part, train_classes)
        if limit is not None and limit < len(files):
            keep = stratified_subset(labels, limit, generator(seed, "subset", part))
            files, labels = [files[i] for i in keep.tolist()], labels[keep]
        chosen.append((files, labels))
    decoded = _decode([file for files, _ in chosen for file in files])
    first = len(chosen[0][0])
    return Dataset(
        train=Samples(decoded[:first], chosen[0][1]),
        test=Samples(decoded[first:], chosen[1][1]),
        classes=tuple(train_classes),
        files=tuple(f"{file.parent.name}/{file.name}" for file in chosen[0][0]),
    )


def _classes(part: Path) -> list[str]:
    with _listed(part):
        if not part.is_dir():
            raise InputError(f"there is no folder {part}", LAYOUT)
        classes = sorted(e.name for e in part.iterdir() if e.is_dir() and not _is_hidden(e.name))
    _refuse_odd_names(part, classes)
    if len(classes) < 2:
        raise InputError(f"{part} holds {len(classes)} class folders, fewer than 2", LAYOUT)
    return classes


def _files(part: Path, classes: list[str]) -> tuple[list[Path], torch.Tensor]:
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        with _listed(part / name), os.scandir(part / name) as entries:
            found = {entry.name: entry.is_dir() for entry in entries if not _is_hidden(entry.name)}
        for folder in (entry for entry, is_folder in found.items() if is_folder):
            raise InputError(f"{part / name} holds a folder, {folder!r}", LAYOUT)
        members = sorted(found)
        _refuse_odd_names(part / name, members)
        if not members:
            raise InputError(f"{part / name} holds no image", LAYOUT)
        files += [part / name / member for member in members]
        labels += [label] * len(members)
    return files, torch.tensor(labels, dtype=torch.int64)


def _refuse_odd_names(folder: Path, names: list[str]) -> None:
    """Make sure that all names can be written, in a request or in evidence."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(f"{folder}: the name {name!r} is not UTF-8", "rename it") from None


def _is_hidden(name: str) -> bool:
    """Whether a file is one that operating systems leave in folders of images."""
    return name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini")


@contextmanager
def _listed(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot list {folder}: {error.strerror}", "check the path") from None


def _decode(files: list[Path]) -> torch.Tensor:
    """All images as N×C×H×W uint8; C is 1 if every image is grey and 3 otherwise."""
    height, width = _read(files[0]).shape[:2]
    images = np.empty((len(files), 1, height, width), np.uint8)
    for position, file in enumerate(files):
        array = _read(file)
        if array.shape[:2] != (height, width):
            raise InputError(
                f"{file} is {array.shape[1]}×{array.shape[0]} but {files[0]} is {width}×{height}",
                "resize the images to one size",
            )
        if array.ndim == 3 and images.shape[1] == 1:  # the first in colour
            images = np.repeat(images, 3, axis=1)
        # A grey one goes into each channel.
        images[position] = array.transpose(2, 0, 1) if array.ndim == 3 else array
    return torch.from_numpy(images)


def _read(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    try:
        with Image.open(file) as image:
            if image.mode == "F" or (image.mode == "I" and image.format not in SIXTEEN_BIT):
                raise InputError(
                    f"{file} has 32 bits per pixel, and nothing says which number is white",
                    "save the images with 8 or 16 bits per channel",
                )
            if image.mode.startswith("I"):  # 16-bit grey, which convert("L") would clip at 255
                deep = np.asarray(image, dtype=np.float64)
                return (deep * (255 / 65535)).round().clip(0, 255).astype(np.uint8)
            mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
            return np.array(image if image.mode == mode else image.convert(mode))
    except (InputError, MemoryError):
        raise
    except Exception as error:  # damaged files break Pillow's many readers in many ways
        raise InputError(
            f"{file} is not a readable image ({in_one_line(error)})", "repair or remove it"
        ) from None
