"""Forget requests."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from unlearn.datasets import Dataset, Samples
from unlearn.errors import InputError
from unlearn.requests import (
    ClassRequest,
    ForgetRequest,
    IndexRequest,
    RandomRequest,
    read_indices,
    resolve,
)

CLASSES = ("cat", "dog", "emu")


def dataset(labels: list[int]) -> Dataset:
    samples = Samples(torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8), torch.tensor(labels))
    return Dataset(train=samples, test=samples, classes=CLASSES)


TWENTY = dataset([0, 1, 2, 1] * 5)
requests = st.one_of(
    st.floats(0.01, 0.99).map(RandomRequest),
    st.builds(ClassRequest, st.sampled_from([*CLASSES, 0, 1, 2]), st.floats(0.01, 1)),
)


@given(
    st.lists(st.integers(0, 2), min_size=2, max_size=60),
    st.sets(st.integers(0, 59), max_size=10),
    requests,
    st.integers(0, 99),
)
def test_forgotten_and_retained_are_disjoint_and_all_but_what_is_gone(
    labels: list[int], positions: set[int], request: ForgetRequest, seed: int
) -> None:
    gone = [position for position in positions if position < len(labels)]
    try:
        parts = resolve(request, dataset(labels), seed, gone)
    except InputError:  # nothing or everything is forgotten
        assume(False)
    forget, retain = parts.forget.tolist(), parts.retain.tolist()
    assert sorted(forget + retain + gone) == list(range(len(labels)))
    assert forget == sorted(forget)
    assert retain == sorted(retain)
    assert forget
    assert retain


@given(st.floats(0.01, 0.99), st.integers(0, 99))
def test_a_random_request_forgets_its_fraction(fraction: float, seed: int) -> None:
    parts = resolve(RandomRequest(fraction), dataset([0, 1] * 100), seed)
    assert abs(len(parts.forget) - fraction * 200) <= 0.5


def test_a_random_request_forgets_every_sample_about_equally_often() -> None:
    times = torch.zeros(20)
    for seed in range(400):
        times[resolve(RandomRequest(0.25), TWENTY, seed).forget] += 1
    # Binomial(400, 1/4): mean 100, standard deviation 8.7.
    assert (times - 100).abs().max() < 45


def test_the_seed_decides_the_draw() -> None:
    first, again, other = (resolve(RandomRequest(0.5), TWENTY, s).forget for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("label", ["dog", 1])
def test_a_class_goes_by_name_and_by_position(label: str | int) -> None:
    parts = resolve(ClassRequest(label, 1.0), TWENTY, seed=0)
    assert parts.forget.tolist() == list(range(1, 20, 2))
    assert parts.forgotten_class == 1


def test_a_part_of_a_class_is_forgotten() -> None:
    parts = resolve(ClassRequest("dog", 0.3), TWENTY, seed=0)
    assert len(parts.forget) == 3
    assert TWENTY.train.labels[parts.forget].tolist() == [1, 1, 1]


def test_only_a_class_request_names_a_class(tmp_path: Path) -> None:
    file = tmp_path / "dogs.txt"
    file.write_text(" ".join(map(str, range(1, 20, 2))))
    for request in (RandomRequest(0.5), IndexRequest(file)):
        assert resolve(request, TWENTY, seed=0).forgotten_class is None


def test_an_index_request_forgets_the_listed_samples_whatever_their_order(tmp_path: Path) -> None:
    file = tmp_path / "forget.txt"
    file.write_text("7\n0\n19\n")
    parts = resolve(IndexRequest(file), TWENTY, seed=0)
    assert parts.forget.tolist() == [0, 7, 19]


@pytest.mark.parametrize(
    ("name", "content", "indices"),
    [
        ("a.txt", "3\n1\n2\n", [3, 1, 2]),
        ("a.txt", "# whom to forget\n3, 1 2  # three of them\n\n4", [3, 1, 2, 4]),
        ("a", "5\r\n6\r\n", [5, 6]),
        ("a.txt", "\ufeff8", [8]),
        ("a.txt", "", []),
        ("a.csv", "3\n1\n", [3, 1]),
        ("a.csv", "index,name\n3,cat\n1,dog\n", [3, 1]),
        ("a.csv", "name,index\ncat,3\n\ndog,1\n", [3, 1]),
        ("a.csv", ",index\n0,30\n1,10\n", [30, 10]),
        ("a.csv", 'name, index\n"cat, the", 3\n', [3]),
        ("a.csv", 'name,index\r\n"cat,\r\nthe",3\r\n"the ""dog""",1\r\n', [3, 1]),
        ("a.csv", "index\n", []),
        ("a.csv", "index,name\n3\n1,dog\n", [3, 1]),
        ("a.csv", "id;index\n1;5\n", [5]),
        ("a.csv", "\nName\tIndex\ncat, the\t3\n", [3]),
        ("a.csv", "index,file\n3,whose.png\n", [3]),  # these samples have no files
        ("A.CSV", "name,index\ncat,3\n", [3]),
        ("a.tsv", "index\tname\n3\tcat\n", [3]),
    ],
)
def test_indices_are_read_from_text_and_csv(
    tmp_path: Path, name: str, content: str, indices: list[int]
) -> None:
    file = tmp_path / name
    file.write_text(content, encoding="utf-8", newline="")
    assert read_indices(file).tolist() == indices


FILES = ["cat/a.png", "cat/b c.png", "dog/a.png", "dog/a,b.png", "dog/#1.png"]


@pytest.mark.parametrize(
    ("name", "content", "indices"),
    [
        ("a.txt", "dog/a.png\n", [2]),
        ("a.txt", "cat/a.png, dog/a.png 3  # two by name, one by position\n", [0, 2, 3]),
        ("a.txt", "cat/b c.png\n dog/a,b.png \r\ndog/#1.png\n", [1, 3, 4]),
        ("a.csv", "file,why\ndog/a.png,asked\ncat/b c.png,asked\n", [2, 1]),
        ("a.csv", 'who,file\nJo,"dog/a,b.png"\n', [3]),
        ("a.csv", "cat/a.png\ndog/#1.png\n", [0, 4]),
        ("a.csv", "file,index\ndog/#1.png,4\ncat/a.png,0\n", [4, 0]),
        ("a.csv", "Who;File\nJo, the first;dog/a.png\n", [2]),
    ],
)
def test_files_may_be_named_instead_of_positions(
    tmp_path: Path, name: str, content: str, indices: list[int]
) -> None:
    file = tmp_path / name
    file.write_text(content, newline="")
    assert read_indices(file, FILES).tolist() == indices


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.txt", "cat/a.png\ncat/z.png\n"), ("a.csv", "file\ncat/z.png\n")],
)
def test_a_file_that_is_none_of_the_samples_is_refused(
    tmp_path: Path, name: str, content: str
) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(InputError, match=r"line 2 of .*: 'cat/z.png' is none of the training im"):
        read_indices(file, FILES)
    with pytest.raises(InputError, match=r"line [12] of .* is not an index"):
        read_indices(file)  # where samples lie in no files


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_indices_are_read_from_numpy_files(tmp_path: Path, dtype: type[np.integer]) -> None:
    file = tmp_path / "forget.npy"
    np.save(file, np.array([3, 1, 2], dtype))
    indices = read_indices(file)
    assert indices.dtype == np.int64
    assert indices.tolist() == [3, 1, 2]


def saved(array: object) -> Callable[[Path], None]:
    return lambda file: np.save(file, np.asarray(array), allow_pickle=True)


def text(content: str) -> Callable[[Path], object]:
    return lambda file: file.write_text(content)


def header(shape: str) -> Callable[[Path], object]:
    """The beginning of an .npy file, which says what would follow."""
    said = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    start = b"\x93NUMPY\x01\x00" + len(said).to_bytes(2, "little") + said
    return lambda file: file.write_bytes(start)


def archive(file: Path) -> None:
    """An .npz archive under an .npy name."""
    with file.open("wb") as stream:
        np.savez(stream, indices=np.arange(3))


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("range.txt", text("3 20"), "index 20, outside 0..19"),
        ("negative.txt", text("3 -1"), "index -1, outside 0..19"),
        ("huge.txt", text("3 99999999999999999999"), "99999999999999999999"),
        ("huge.csv", text("3\n99999999999999999999"), "99999999999999999999"),
        ("digits.txt", text("9" * 5000), "digits.txt"),
        ("twice.txt", text("3 4 3"), "index 3 twice"),
        ("junk.txt", text("3\n4 five 6\n"), "line 2 of .*junk.txt: 'five'"),
        ("fraction.txt", text("1\n2\n3.5"), "line 3 of .*fraction.txt: '3.5'"),
        ("junk.csv", text("index\n3\nx\n"), "line 3 of .*junk.csv: 'x'"),
        ("short.csv", text("name,index\ncat,3\ndog\n"), "line 3 of .*short.csv: ''"),
        ("bare.csv", text("3,cat\n1,dog\n"), "none is called 'index'"),
        ("unnamed.csv", text("sample,name\n3,cat\n"), "none is called 'index'"),
        ("row.csv", text("3,5,7\n"), "none is called 'index'"),
        ("more.csv", text("index\n12,13\n"), "line 2 of .*more.csv has 2 fields"),
        ("wide.csv", text("index,name\n1,cat\n2,dog,3\n"), "line 3 of .*wide.csv has 3 fields"),
        ("same.csv", text("index,index\n1,2\n"), "two columns called 'index'"),
        ("mixed.csv", text("id;index\n1,5\n"), "line 2 of .*mixed.csv: '' is not an index"),
        ("TYPO.CSV", text("Indx\n5\n"), "line 1 of .*: 'Indx' is not an index"),
        ("typo.csv", text("1O\n3\n"), "line 1 of .*typo.csv: '1O'"),
        ("field.csv", text('"' + "x" * 200_000), "field.csv"),
        ("glued.csv", text('index\n"5\n6"\n'), r"line 3 of .*glued.csv: '5\\n6'"),
        ("open.csv", text('index,name\n3,"cat\n5,dog\n'), "open.csv is not valid CSV"),
        ("quote.csv", text('index,name\n3,"cat\n5,dog\n6,"emu"\n'), "quote.csv is not valid CSV"),
        ("none.txt", text("# nobody\n"), "none.txt names no sample"),
        *[
            ("none.csv", text(t), "none.csv names no sample")
            for t in ("", "\n \n", '""\n', "index\n")
        ],
        ("all.txt", text(" ".join(map(str, range(20)))), "no sample is left to retain"),
        ("none.npy", saved(np.array([], np.int64)), "none.npy names no sample"),
        ("range.npy", saved([3, 20]), "index 20, outside 0..19"),
        ("large.npy", saved(np.array([2**63 + 5], np.uint64)), str(2**63 + 5)),
        ("floats.npy", saved([1.0, 2.0]), "floats.npy holds float64"),
        ("square.npy", saved([[1, 2], [3, 4]]), r"square.npy holds int64 of shape \(2, 2\)"),
        ("pickled.npy", saved(np.array([{"a": 1}], object)), "pickled.npy is no array of NumPy's"),
        ("archive.npy", archive, "archive.npy"),
        ("junk.npy", text("1 2 3"), "junk.npy is no array of NumPy's"),
        ("zip.npy", text("PK\x03\x04 and no more"), "zip.npy is no array of NumPy's"),
        ("vast.npy", header("(10000000000000,)"), "vast.npy is no array of NumPy's"),
        ("broken.npy", header("(3,"), "broken.npy is no array of NumPy's"),
        ("times.npy", saved(np.array([1, 2], "m8[s]")), "times.npy holds timedelta64"),
        ("empty.npy", text(""), "empty.npy is no array of NumPy's"),
        (
            "bytes.txt",
            lambda file: file.write_bytes(b"\xff\xfe\xfa"),
            "bytes.txt: it is not UTF-8",
        ),
        ("folder.txt", Path.mkdir, "cannot read .*folder.txt: Is a dir"),
        ("missing.txt", lambda file: None, "cannot read .*missing.txt: No such"),
        ("missing.npy", lambda file: None, "cannot read .*missing.npy: No such"),
    ],
    ids=lambda value: value if isinstance(value, str) and value[-4:-3] == "." else "",
)
def test_what_is_wrong_with_an_index_file_is_said(
    tmp_path: Path, name: str, write: Callable[[Path], object], words: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(InputError, match=words) as caught:
        resolve(IndexRequest(tmp_path / name), TWENTY, seed=0)
    assert caught.value.remedy


@pytest.mark.parametrize("header", ["index,file", "file,index"])
def test_an_index_and_a_file_that_are_two_samples_are_refused(tmp_path: Path, header: str) -> None:
    file = tmp_path / "a.csv"
    row = {"index": "0", "file": "dog/a.png"}
    file.write_text(f"{header}\n{','.join(row[name] for name in header.split(','))}\n", "utf-8")
    with pytest.raises(InputError, match=r"'(0|dog/a\.png)' and '(0|dog/a\.png)' are two"):
        read_indices(file, FILES)


@pytest.mark.parametrize("content", ["a.png\n", "cat\\a.png\n", "train/cat/a.png\n"])
def test_how_files_are_named_is_shown(tmp_path: Path, content: str) -> None:
    file = tmp_path / "a.txt"
    file.write_text(content, "utf-8")
    with pytest.raises(InputError, match="is none of the training images") as caught:
        read_indices(file, FILES)
    assert "such as cat/a.png" in caught.value.remedy


def test_a_number_that_is_another_classs_name_is_refused() -> None:
    classes = ("0", "1", "10", "2")
    data = replace(dataset([0, 1, 2, 3] * 5), classes=classes)
    with pytest.raises(InputError, match="at position 2 is '10', and another is called '2'"):
        resolve(ClassRequest(2, 1.0), data, seed=0)
    assert resolve(ClassRequest("2", 1.0), data, seed=0).forgotten_class == 3
    assert resolve(ClassRequest(1, 1.0), data, seed=0).forgotten_class == 1


@pytest.mark.parametrize("label", ["cow", "1", 3, -1])
def test_an_unknown_class_is_named_and_the_known_ones_listed(label: str | int) -> None:
    with pytest.raises(InputError, match=f"no class {label!r}") as caught:
        resolve(ClassRequest(label, 1.0), TWENTY, seed=0)
    assert "cat, dog, emu" in caught.value.remedy


def test_a_fraction_too_small_for_one_sample_is_refused() -> None:
    with pytest.raises(InputError, match="forgets no sample"):
        resolve(RandomRequest(0.01), TWENTY, seed=0)


def test_fractions_are_of_what_is_not_gone_yet() -> None:
    assert len(resolve(RandomRequest(0.5), TWENTY, 0, gone=range(12)).forget) == 4
    with pytest.raises(InputError, match="no sample of class 'cat' is left to forget"):
        resolve(ClassRequest("cat", 1.0), TWENTY, 0, gone=range(0, 20, 2))
    left = resolve(ClassRequest("cat", 1.0), TWENTY, 0, gone=range(12))
    assert left.forget.tolist() == [12, 16]


def test_forgetting_the_only_class_is_refused() -> None:
    with pytest.raises(InputError, match="no sample is left to retain"):
        resolve(ClassRequest("cat", 1.0), dataset([0, 0, 0]), seed=0)
