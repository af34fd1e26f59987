"""The workspace: what goes in comes out, and what is damaged is made again."""

import hashlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import BaseFileLock, Timeout
from safetensors.torch import save

from pareto.workspace import Artifact, Workspace
from tests.pareto.processes import run_at_once, start
from unlearn.errors import InputError

DEPENDS_ON = {"seed": 0, "data.name": "digits"}
ARTIFACT = Artifact(
    {
        "weights": torch.randn(3, 4),
        "counts": torch.tensor([2**40, -1]),
        "scalar": torch.tensor(0.5),
    },
    {"seconds": 0.1, "work": {"steps": 3}, "θ": "δ"},
)


class Bench:
    """A workspace, what it warned of, and how often something was built for it."""

    def __init__(self, parent: Path) -> None:
        self.warnings: list[str] = []
        self.built = 0
        self.workspace = Workspace(parent, DEPENDS_ON, self.warnings.append)

    def get(self) -> Artifact:
        def build() -> Artifact:
            self.built += 1
            return ARTIFACT

        return self.workspace.get("original", build)

    @property
    def file(self) -> Path:
        return self.workspace.folder / "original.safetensors"

    @property
    def seal(self) -> Path:
        return self.workspace.folder / "original.sha256"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path / "workspace")
    bench.get()
    return bench


def same(first: Artifact, second: Artifact) -> bool:
    return (
        first.notes == second.notes
        and first.tensors.keys() == second.tensors.keys()
        and all(
            tensor.dtype == second.tensors[name].dtype and torch.equal(tensor, second.tensors[name])
            for name, tensor in first.tensors.items()
        )
    )


def test_what_was_built_is_read_back_the_same(bench: Bench) -> None:
    assert same(bench.get(), ARTIFACT)
    assert (bench.built, bench.warnings) == (1, [])


def test_another_workspace_of_the_same_study_reads_it_too(bench: Bench) -> None:
    other = Bench(bench.workspace.folder.parent)
    assert same(other.get(), ARTIFACT)
    assert other.built == 0


def test_what_depends_on_something_else_lies_elsewhere(bench: Bench) -> None:
    other = Workspace(bench.workspace.folder.parent, {**DEPENDS_ON, "seed": 1}, print)
    assert other.folder != bench.workspace.folder


def test_the_order_of_what_it_depends_on_does_not_matter(bench: Bench) -> None:
    turned = dict(reversed(DEPENDS_ON.items()))
    parent = bench.workspace.folder.parent
    assert Workspace(parent, turned, print).folder == bench.workspace.folder


def test_nothing_is_pickled(bench: Bench) -> None:
    kept = {file.suffix for file in bench.workspace.folder.iterdir()}
    assert kept == {".safetensors", ".sha256"}


def truncate(bench: Bench) -> None:
    bench.file.write_bytes(bench.file.read_bytes()[:-5])


def empty(bench: Bench) -> None:
    bench.file.write_bytes(b"")


def flip_a_byte(bench: Bench) -> None:
    content = bytearray(bench.file.read_bytes())
    content[-3] ^= 1
    bench.file.write_bytes(content)


def scribble_on_the_seal(bench: Bench) -> None:
    bench.seal.write_bytes(b"\xff\xfe")


def seal_bytes(bench: Bench, content: bytes) -> None:
    bench.file.write_bytes(content)
    bench.seal.write_text(hashlib.sha256(content).hexdigest())


def seal_something_else(bench: Bench) -> None:
    seal_bytes(bench, b"these are no tensors")


def seal_notes_that_are_no_json(bench: Bench) -> None:
    seal_bytes(bench, save({"x": torch.zeros(1)}, metadata={"notes": "{"}))


def seal_tensors_without_notes(bench: Bench) -> None:
    seal_bytes(bench, save({"x": torch.zeros(1)}))


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        empty,
        flip_a_byte,
        scribble_on_the_seal,
        seal_something_else,
        seal_notes_that_are_no_json,
        seal_tensors_without_notes,
    ],
)
def test_a_damaged_file_is_made_again_with_a_warning(
    bench: Bench, damage: Callable[[Bench], None]
) -> None:
    damage(bench)
    assert same(bench.get(), ARTIFACT)
    assert bench.built == 2
    assert bench.warnings == [f"{bench.file} is damaged and is made again"]


def test_a_damaged_file_is_mended_for_good(bench: Bench) -> None:
    truncate(bench)
    bench.get()
    assert same(bench.get(), ARTIFACT)
    assert bench.built == 2


@pytest.mark.parametrize("lacking", ["file", "seal"])
def test_an_unfinished_file_is_made_again_without_a_warning(bench: Bench, lacking: str) -> None:
    {"file": bench.file, "seal": bench.seal}[lacking].unlink()
    assert same(bench.get(), ARTIFACT)
    assert (bench.built, bench.warnings) == (2, [])


def test_a_build_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    bench = Bench(tmp_path)

    def build() -> Artifact:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        bench.workspace.get("original", build)
    assert list(bench.workspace.folder.iterdir()) == []


def can_lock(parent: Path) -> bool:
    lock = Workspace(parent, DEPENDS_ON, print).lock()
    assert isinstance(lock, BaseFileLock)
    try:
        with lock.acquire(timeout=0.2):
            return True
    except Timeout:
        return False


def lock_and_die(parent: Path) -> None:
    with Workspace(parent, DEPENDS_ON, print).lock():
        os.kill(os.getpid(), signal.SIGKILL)


def test_the_lock_keeps_other_processes_out(tmp_path: Path) -> None:
    with Workspace(tmp_path, DEPENDS_ON, print).lock():
        assert run_at_once(can_lock, [tmp_path]) == [False]
    assert run_at_once(can_lock, [tmp_path]) == [True]


def test_the_lock_of_a_process_that_has_died_is_free(tmp_path: Path) -> None:
    start(lock_and_die, tmp_path).join()
    assert can_lock(tmp_path)


def test_a_folder_that_cannot_be_made_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write") as caught:
        Bench(tmp_path / "file")
    assert caught.value.remedy


def test_a_file_that_cannot_be_written_is_the_users_mistake(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.file.mkdir()  # also root cannot write a file where a folder is
    with pytest.raises(InputError, match="cannot write"):
        bench.get()


def test_notes_survive_as_json_holds_them(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, DEPENDS_ON, print)
    notes = {"training": [{"work": {"steps": 1, "samples": 2}, "seconds": 0.1 + 0.2}]}
    workspace.get("notes", lambda: Artifact(notes=notes))
    read = workspace.get("notes", Artifact)
    assert json.dumps(read.notes) == json.dumps(notes)
