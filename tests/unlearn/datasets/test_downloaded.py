"""Data sets that torchvision downloads."""

import os
import pickle
import shutil
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from torchvision import datasets as torchvision_datasets

from tests.unlearn.datasets.planted import (
    CLASSES,
    LOADERS,
    Planted,
    cut_network,
    idx,
    md5,
    plant_into,
)
from unlearn.datasets import _downloaded, load
from unlearn.errors import InputError

NAMES = list(CLASSES)
URLOPEN = urllib.request.urlopen
every_name = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_network(monkeypatch.setattr)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was, without any proxy."""
    monkeypatch.setattr(urllib.request, "urlopen", URLOPEN)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Planted]:
    def planted(name: str) -> Planted:
        folder = tmp_path / "data"
        folder.mkdir()
        return plant_into(folder, name, monkeypatch.setattr)

    return planted


@every_name
def test_images_and_labels_are_those_of_the_files(
    name: str, plant: Callable[[str], Planted]
) -> None:
    planted = plant(name)
    dataset = load(name, seed=0, folder=planted.folder)
    assert dataset.classes == CLASSES[name]
    for samples, (images, labels) in (
        (dataset.train, planted.train),
        (dataset.test, planted.test),
    ):
        assert samples.images.dtype == torch.uint8
        assert samples.images.is_contiguous()
        assert np.array_equal(samples.images.numpy(), images.transpose(0, 3, 1, 2))
        assert samples.labels.dtype == torch.int64
        assert samples.labels.tolist() == labels


@every_name
def test_limits_and_pixel_noise_work_as_for_other_data(
    name: str, plant: Callable[[str], Planted]
) -> None:
    folder = plant(name).folder
    small = load(name, seed=0, folder=folder, train_limit=10, test_limit=4)
    assert (len(small.train), len(small.test)) == (10, 4)
    noisy = load(name, seed=0, folder=folder, train_limit=10, test_limit=4, pixel_noise=0.1)
    assert torch.equal(noisy.train.labels, small.train.labels)
    assert not torch.equal(noisy.train.images, small.train.images)


def test_the_default_folder_is_in_the_users_cache(
    plant: Callable[[str], Planted], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = plant("svhn").folder
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(folder, tmp_path / "cache" / "pareto-search" / "data")
    assert len(load("svhn", seed=0).train) == 20


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of a server of a folder's files."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def point_to(name: str, base: str, patch: pytest.MonkeyPatch) -> None:
    """Let torchvision look for a data set below a URL."""
    loader = LOADERS[name][0]
    if name.startswith("cifar"):
        patch.setattr(loader, "url", base + loader.filename)
    elif name == "svhn":
        parts = loader.split_list.items()
        listed = {key: [base + file, file, checksum] for key, (_, file, checksum) in parts}
        patch.setattr(loader, "split_list", listed)
    else:
        dead = "http://127.0.0.1:9/"  # the first mirror does not answer
        patch.setattr(loader, "mirrors", [dead, f"{base}{loader.__name__}/raw/"])


@every_name
def test_what_is_not_there_is_downloaded_once(
    name: str,
    plant: Callable[[str], Planted],
    network: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = plant(name).folder
    here = tmp_path / "downloaded" / "here"
    with served(folder) as base:
        point_to(name, base, monkeypatch)
        first = load(name, seed=0, folder=here)
    again = load(name, seed=0, folder=here)
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint == load(name, seed=0, folder=folder).fingerprint
    assert capsys.readouterr().out == ""


ARCHIVES = {
    "cifar10": ("cifar-10-python.tar.gz", "https://www.cs.toronto.edu/~kriz/"),
    "cifar100": ("cifar-100-python.tar.gz", "https://www.cs.toronto.edu/~kriz/"),
    "svhn": ("train_32x32.mat", "http://ufldl.stanford.edu/housenumbers/"),
    "fashion-mnist": ("FashionMNIST/raw/train-images-idx3-ubyte.gz", "http://fashion-mnist.s3"),
    "mnist": ("MNIST/raw/train-images-idx3-ubyte.gz", torchvision_datasets.MNIST.mirrors[0]),
}


@every_name
def test_without_a_network_it_is_said_which_file_to_put_where(name: str, tmp_path: Path) -> None:
    file, url = ARCHIVES[name]
    with pytest.raises(InputError) as caught:
        load(name, seed=0, folder=tmp_path)
    assert caught.value.problem.startswith(f"{tmp_path / file} is not there, and cannot be")
    assert "nobody answers" in caught.value.problem
    assert caught.value.remedy.startswith(f"get {url}")
    assert Path(file).name in caught.value.remedy
    assert "\n" not in caught.value.problem + caught.value.remedy


@every_name
def test_a_download_that_is_damaged_is_named(name: str, plant: Callable[[str], Planted]) -> None:
    folder, file = plant(name).folder, ARCHIVES[name][0]
    content = bytearray((folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / file).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(name, seed=0, folder=folder)
    assert caught.value.problem.startswith(f"{folder / file} is damaged, and cannot be downloaded")


def test_a_server_that_says_nothing_is_given_up(
    network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_downloaded, "TIMEOUT", 0.2)
    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as server:
        point_to("cifar10", f"http://127.0.0.1:{server.getsockname()[1]}/", monkeypatch)
        started = time.monotonic()
        with pytest.raises(InputError, match="timed out"):
            load("cifar10", seed=0, folder=tmp_path)
    assert time.monotonic() - started < 5
    assert socket.getdefaulttimeout() == before


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_what_is_unpacked_and_damaged_is_unpacked_anew(
    name: str, plant: Callable[[str], Planted]
) -> None:
    folder, loader = plant(name).folder, LOADERS[name][0]
    whole = load(name, seed=0, folder=folder).fingerprint
    for file in (loader.train_list[0][0], loader.meta["filename"]):
        (folder / loader.base_folder / file).write_bytes(b"damaged")
        assert load(name, seed=0, folder=folder).fingerprint == whole


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("file", ["data_batch_3", "test_batch", "batches.meta"])
@pytest.mark.parametrize("known", [False, True])
def test_files_with_a_wrong_checksum_are_never_unpickled(
    file: str,
    known: bool,
    plant: Callable[[str], Planted],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    folder, loader = plant("cifar10").folder, torchvision_datasets.CIFAR10
    load("cifar10", seed=0, folder=folder)
    (folder / loader.filename).unlink()
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    (folder / loader.base_folder / file).write_bytes(trap)
    if known:  # had it been the right checksum, the trap would have sprung
        for field in ("train_list", "test_list"):
            listed = [[n, md5(trap) if n == file else s] for n, s in getattr(loader, field)]
            monkeypatch.setattr(loader, field, listed)
        if file == "batches.meta":
            monkeypatch.setattr(loader, "meta", {**loader.meta, "md5": md5(trap)})
    with pytest.raises(InputError):
        load("cifar10", seed=0, folder=folder)
    assert (tmp_path / "sprung").exists() == known


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("content", [b"", b"\0\0\x08\x01\0\0\0\x02\0\x63", b"text", b"\0" * 100])
def test_unpacked_files_without_checksums_are_damaged_if_they_make_no_sense(
    file: str, content: bytes, plant: Callable[[str], Planted]
) -> None:
    folder = plant("mnist").folder
    load("mnist", seed=0, folder=folder)
    (folder / "MNIST/raw" / file).write_bytes(content)
    with pytest.raises(InputError, match=r"the files of mnist in .* are damaged") as caught:
        load("mnist", seed=0, folder=folder)
    assert str(folder / "MNIST/raw") in caught.value.remedy


def test_labels_beyond_the_classes_are_damage(plant: Callable[[str], Planted]) -> None:
    folder = plant("mnist").folder
    load("mnist", seed=0, folder=folder)
    (folder / "MNIST/raw/t10k-labels-idx1-ubyte").write_bytes(idx(np.full(6, 10, np.uint8)))
    with pytest.raises(InputError, match="a label is not among the 10 classes"):
        load("mnist", seed=0, folder=folder)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"svhn cannot be kept in .*file") as caught:
        load("svhn", seed=0, folder=tmp_path / "file")
    assert "--data-dir" in caught.value.remedy
    assert "data.dir" in caught.value.remedy
