"""Forget requests: which training samples have to go (D_f), and which stay (D_r)."""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unlearn.datasets import Dataset
from unlearn.errors import InputError
from unlearn.files import read_bytes, read_text
from unlearn.seeds import generator

LARGEST = int(np.iinfo(np.int64).max)
HEADERS = ("index", "file")
"""Columns of a CSV file that name samples; where both do, they have to agree."""
DELIMITERS = (",", ";", "\t")
"""Of CSV: spreadsheets write the second in many countries, and call text with the third so too."""
HEADER_REMEDY = "begin it with column names: index or, for images by name, file"
RANGE_REMEDY = "indices count the training samples from 0"


@dataclass(frozen=True)
class RandomRequest:
    """Forget a uniformly random `fraction` (0 < fraction < 1) of the training samples."""

    fraction: float


@dataclass(frozen=True)
class ClassRequest:
    """Forget a random `fraction` (0 < fraction <= 1) of one class, given by name or position."""

    label: int | str
    fraction: float


@dataclass(frozen=True)
class IndexRequest:
    """Forget exactly the training samples that a file lists."""

    file: Path


ForgetRequest = RandomRequest | ClassRequest | IndexRequest


@dataclass(frozen=True)
class Partition:
    """What a request means for one data set.

    Attributes:
        forget, retain: positions in the training data, int64, ascending; disjoint, together all
            but what earlier requests have made the model forget.
        forgotten_class: the class that a class-wise request names, otherwise None.
    """

    forget: Tensor
    retain: Tensor
    forgotten_class: int | None

    @property
    def fingerprint(self) -> str:
        """A SHA-256 over the positions."""
        digest = hashlib.sha256()
        for positions in (self.forget, self.retain):
            digest.update(repr(len(positions)).encode())
            digest.update(positions.numpy().data)
        return digest.hexdigest()


def resolve(
    request: ForgetRequest, dataset: Dataset, seed: int, gone: Sequence[int] = ()
) -> Partition:
    """Turn a request into D_f and D_r.

    Args:
        gone: positions that are in neither, as earlier requests have named them.

    Raises:
        InputError: the class or file does not exist, an index is out of range, gone, or listed
            twice, or the request names nothing or everything.
    """
    labels = dataset.train.labels
    stays = torch.ones(labels.shape[0], dtype=torch.bool)
    stays[torch.tensor(gone, dtype=torch.int64)] = False
    forgotten_class: int | None = None
    if isinstance(request, RandomRequest):
        chosen = _draw(stays.nonzero().flatten(), request.fraction, seed)
    elif isinstance(request, ClassRequest):
        forgotten_class = _class_position(request.label, dataset.classes)
        members = stays & (labels == forgotten_class)
        if not members.any():
            raise InputError(
                f"no sample of class {request.label!r} is left to forget", "name another class"
            )
        chosen = _draw(members.nonzero().flatten(), request.fraction, seed)
    else:
        indices = read_indices(request.file, dataset.files or ())
        chosen = _checked(indices, stays.numpy(), request.file, dataset.files)
    if len(chosen) == 0:
        if isinstance(request, IndexRequest):
            raise InputError(f"{request.file} names no sample", "name at least one")
        raise InputError("the request forgets no sample", "raise request.fraction")
    stays[chosen] = False
    if not stays.any():
        is_listed = isinstance(request, IndexRequest)
        remedy = "name fewer, or train a new model" if is_listed else "lower request.fraction"
        raise InputError("no sample is left to retain", remedy)
    return Partition(chosen.sort().values, stays.nonzero().flatten(), forgotten_class)


def read_indices(
    file: Path, known: Sequence[str] = ()
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Read training indices from a file.

    `.npy` holds a one-dimensional integer array. Anything else is text with one index per line
    or several separated by commas or blanks; `#` starts a comment. A CSV file (`.csv`, `.tsv`) with
    several columns begins with a header that calls one of them `index` or `file`; where both are
    there, they have to agree. With a single column it needs no header. It is separated by what
    comes first in its first line of comma, semicolon and tab. Where samples lie in files,
    `<class>/<file>` may stand for the index; in text, a name with blanks or commas takes a line of
    its own. Nothing is guessed: a line taken for a header by mistake would be a person who is not
    forgotten.

    Args:
        known: the files of the training samples, by position.

    Raises:
        InputError: the file is missing, or something in it is no index and no known file.
    """
    positions = {name: position for position, name in enumerate(known)}
    if file.suffix.lower() == ".npy":
        return _checked_array(_load_array(file), file)
    parse = _parse_csv if file.suffix.lower() in (".csv", ".tsv") else _parse
    return np.array(parse(read_text(file), file, positions), np.int64)


def _load_array(file: Path) -> object:
    content = BytesIO(read_bytes(file))
    try:
        return np.load(content, allow_pickle=False)
    except Exception:  # bytes that are no array break NumPy's reader in many ways
        raise InputError(
            f"{file} is no array of NumPy's, or one of objects",
            "store integers with `numpy.save`, or give text or CSV under another name",
        ) from None


def _checked_array(array: object, file: Path) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    remedy = "store a one-dimensional array of integers"
    if not isinstance(array, np.ndarray):
        raise InputError(f"{file} is an archive of arrays", remedy)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(f"{file} holds {array.dtype} of shape {array.shape}", remedy)
    if len(array) and int(array.max()) > LARGEST:
        raise _outside(int(array.max()), file)
    return np.array(array, np.int64)


def _parse(text: str, file: Path, positions: Mapping[str, int]) -> list[int]:
    indices: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.strip()
        words = [name] if name in positions else line.split("#")[0].replace(",", " ").split()
        indices += [_index(word, file, number, positions) for word in words]
    return indices


def _parse_csv(text: str, file: Path, positions: Mapping[str, int]) -> list[int]:
    try:
        # Strict, and with its line ends: otherwise a quote that is never closed hides all that
        # comes after it, and digits on both sides of a line end become one index.
        reader = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
        rows = [
            (reader.line_num, [cell.strip() for cell in row])
            for row in reader
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise InputError(f"{file} is not valid CSV: {error}", "correct the file") from None
    if not rows:
        return []
    names = [name.lower() for name in rows[0][1]]
    columns = [names.index(header) for header in HEADERS if header in names]
    width = len(names) if columns else 1
    if columns:
        for header in HEADERS:
            if names.count(header) > 1:
                raise InputError(f"{file} has two columns called {header!r}", "rename one of them")
        del rows[0]
    elif any(len(row) > 1 for _, row in rows):
        raise InputError(f"{file} has several columns, and none is called 'index'", HEADER_REMEDY)
    elif not all(_is_integer(name) or name in positions or "/" in name for name in rows[0][1]):
        raise InputError(
            f"line {rows[0][0]} of {file}: {rows[0][1][0]!r} is not an index", HEADER_REMEDY
        )
    for number, row in rows:
        if len(row) > width:  # nobody who is named may be passed over
            raise InputError(
                f"line {number} of {file} has {len(row)} fields, and its header {width}",
                "write one sample per line",
            )
        row += [""] * (width - len(row))
    if len(columns) == 2 and not positions:
        del columns[1]  # these samples have no files: whose names they are, nobody here knows
    return [_agreed(row, columns or [0], file, number, positions) for number, row in rows]


def _delimiter(text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip()), "")
    found = {header.find(mark): mark for mark in DELIMITERS if mark in header}
    return found[min(found)] if found else DELIMITERS[0]


def _agreed(
    row: Sequence[str],
    columns: Sequence[int],
    file: Path,
    line: int,
    positions: Mapping[str, int],
) -> int:
    """The index that all of these columns mean."""
    meant = [_index(row[column], file, line, positions) for column in columns]
    if len(set(meant)) > 1:
        told = " and ".join(repr(row[column]) for column in columns)
        raise InputError(
            f"line {line} of {file}: {told} are two samples",
            "leave out the column that does not mean positions or files in the training data",
        )
    return meant[0]


def _is_integer(word: str) -> bool:
    return word.removeprefix("-").isdecimal()


def _index(word: str, file: Path, line: int, positions: Mapping[str, int]) -> int:
    if word in positions:
        return positions[word]
    if positions and word and not _is_integer(word):
        raise InputError(
            f"line {line} of {file}: {word!r} is none of the training images",
            f"name them as <class>/<file>, such as {next(iter(positions))}; data.train_limit leaves"
            " some out",
        )
    if not _is_integer(word):
        raise InputError(f"line {line} of {file}: {word!r} is not an index", RANGE_REMEDY)
    # Python refuses to convert thousands of digits, so their number is looked at first.
    if len(word) > len(str(LARGEST)) or int(word) > LARGEST:
        raise _outside(word, file)
    return int(word)


def _outside(index: int | str, file: Path) -> InputError:
    shown = str(index)
    shown = shown if len(shown) <= 40 else f"{shown[:40]}…"
    return InputError(f"{file} lists index {shown}, beyond any data set", RANGE_REMEDY)


def _draw(candidates: Tensor, fraction: float, seed: int) -> Tensor:
    count = round(fraction * len(candidates))
    order = torch.randperm(len(candidates), generator=generator(seed, "forget request"))
    return candidates[order[:count]]


def _class_position(label: int | str, classes: tuple[str, ...]) -> int:
    if isinstance(label, str) and label in classes:
        return classes.index(label)
    if isinstance(label, int) and 0 <= label < len(classes):
        if str(label) in classes and classes[label] != str(label):
            raise InputError(
                f"the class at position {label} is {classes[label]!r}, and another is called"
                f" {str(label)!r}",
                f'name the class that is meant: "{classes[label]}" or "{label}", with quotes',
            )
        return label
    raise InputError(
        f"the data has no class {label!r}",
        f"name one of {', '.join(classes[:12])}{' …' if len(classes) > 12 else ''}"
        f" or a position from 0 to {len(classes) - 1}",
    )


def _checked(
    indices: np.ndarray[tuple[int], np.dtype[np.int64]],
    stays: np.ndarray[tuple[int], np.dtype[np.bool_]],
    file: Path,
    known: Sequence[str] | None,
) -> Tensor:
    def shown(position: int) -> str:
        return f"index {position}" + (f" ({known[position]})" if known else "")

    outside = indices[(indices < 0) | (indices >= len(stays))]
    if len(outside):
        raise InputError(
            f"{file} lists index {outside[0]}, outside 0..{len(stays) - 1}", RANGE_REMEDY
        )
    values, times = np.unique(indices, return_counts=True)
    if (times > 1).any():
        twice = shown(values[times > 1][0])
        raise InputError(f"{file} lists {twice} twice", "list each sample once")
    again = indices[~stays[indices]]
    if len(again):
        raise InputError(
            f"{file} lists {shown(again[0])}, which was forgotten by an earlier request",
            "leave out what is forgotten already",
        )
    return torch.from_numpy(indices)
