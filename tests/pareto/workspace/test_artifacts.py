"""The workspace: what goes in comes out, and what is damaged is made again."""

import hashlib
import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from pareto.workspace import lock
from pareto.workspace.artifacts import Artifact, Workspace
from pareto.workspace.places import Place
from tests.pareto.stands import KINDS, PASSWORD, Stand, ftp_server, stand
from unlearn.errors import InputError

DEPENDS_ON = {"seed": 0, "data.name": "digits"}
ARTIFACT = Artifact(
    {
        "weights": torch.randn(3, 4),
        "counts": torch.tensor([2**40, -1]),
        "scalar": torch.tensor(0.5),
        "flags": torch.tensor([True, False]),
        "nothing": torch.zeros(0, 3),
    },
    {"seconds": 0.1, "work": {"steps": 3}, "θ": "δ"},
)


class Bench:
    """A workspace, what it warned of, and how often something was built for it."""

    def __init__(self, at: Stand) -> None:
        self.at = at
        self.warnings: list[str] = []
        self.built = 0
        self.workspace = Workspace(at.url, DEPENDS_ON, self.warnings.append)
        self.file = f"{self.workspace.key}/original.safetensors"
        self.seal = f"{self.workspace.key}/original.sha256"

    def get(self, artifact: Artifact = ARTIFACT) -> Artifact:
        def build() -> Artifact:
            self.built += 1
            return artifact

        return self.workspace.get("original", build)


@pytest.fixture(params=KINDS)
def at(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    with stand(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def bench(at: Stand) -> Bench:
    bench = Bench(at)
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
    other = Bench(bench.at)
    assert same(other.get(), ARTIFACT)
    assert other.built == 0


def test_what_depends_on_something_else_lies_elsewhere(bench: Bench) -> None:
    other = Workspace(bench.at.url, {**DEPENDS_ON, "seed": 1}, print)
    assert other.key != bench.workspace.key
    assert {bench.workspace.key, other.key} <= bench.at.names()


def test_the_order_of_what_it_depends_on_does_not_matter(bench: Bench) -> None:
    turned = dict(reversed(DEPENDS_ON.items()))
    assert Workspace(bench.at.url, turned, print).key == bench.workspace.key


def test_nothing_is_pickled_and_nothing_else_is_left(bench: Bench) -> None:
    assert bench.at.names() == {bench.workspace.key, bench.file, bench.seal}


def truncate(bench: Bench) -> None:
    bench.at.write(bench.file, bench.at.read(bench.file)[:-5])


def empty(bench: Bench) -> None:
    bench.at.write(bench.file, b"")


def flip_a_byte(bench: Bench) -> None:
    content = bytearray(bench.at.read(bench.file))
    content[-3] ^= 1
    bench.at.write(bench.file, bytes(content))


def scribble_on_the_seal(bench: Bench) -> None:
    bench.at.write(bench.seal, b"\xff\xfe")


def cut_the_seal(bench: Bench) -> None:
    bench.at.write(bench.seal, bench.at.read(bench.seal)[:9])


def seal_of_another_writer(bench: Bench) -> None:
    ours = bench.at.read(bench.file)
    bench.at.remove(bench.seal)
    bench.get(Artifact(ARTIFACT.tensors, {**ARTIFACT.notes, "seconds": 0.2}))
    bench.at.write(bench.file, ours)
    bench.built -= 1


def seal_bytes(bench: Bench, content: bytes) -> None:
    bench.at.write(bench.file, content)
    bench.at.write(bench.seal, hashlib.sha256(content).hexdigest().encode())


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
        cut_the_seal,
        seal_of_another_writer,
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
    assert bench.warnings == [f"{Place(bench.at.url)}/{bench.file} is damaged and is made again"]


def test_a_damaged_file_is_mended_for_good(bench: Bench) -> None:
    truncate(bench)
    bench.get()
    assert same(bench.get(), ARTIFACT)
    assert bench.built == 2


@pytest.mark.parametrize("lacking", ["file", "seal"])
def test_an_unfinished_file_is_made_again_without_a_warning(bench: Bench, lacking: str) -> None:
    bench.at.remove({"file": bench.file, "seal": bench.seal}[lacking])
    assert same(bench.get(), ARTIFACT)
    assert (bench.built, bench.warnings) == (2, [])


def test_a_build_that_fails_leaves_nothing_behind(at: Stand) -> None:
    bench = Bench(at)

    def build() -> Artifact:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        bench.workspace.get("original", build)
    assert {bench.file, bench.seal}.isdisjoint(at.names())


def test_notes_survive_as_json_holds_them(at: Stand) -> None:
    workspace = Workspace(at.url, DEPENDS_ON, print)
    notes = {"training": [{"work": {"steps": 1, "samples": 2}, "seconds": 0.1 + 0.2}]}
    workspace.get("notes", lambda: Artifact(notes=notes))
    read = workspace.get("notes", Artifact)
    assert json.dumps(read.notes) == json.dumps(notes)


def test_a_lock_can_be_held_while_building(at: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.01)
    bench = Bench(at)
    with bench.workspace.lock():
        assert same(bench.get(), ARTIFACT)
    assert bench.warnings == []


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Stand]:
    """A folder on this machine."""
    with stand("path", tmp_path) as made:
        yield made


def test_a_folder_that_cannot_be_made_is_the_users_mistake(here: Stand) -> None:
    here.write("file", b"")
    with pytest.raises(InputError, match="cannot write into") as caught:
        Workspace(f"{here.url}/file", DEPENDS_ON, print)
    assert caught.value.remedy


def test_a_file_that_cannot_be_written_is_the_users_mistake(here: Stand) -> None:
    bench = Bench(here)
    Path(here.root, bench.file).mkdir()  # also root cannot write a file where a folder is
    with pytest.raises(InputError, match="cannot write"):
        bench.get()


def test_half_a_file_on_a_full_disk_does_not_count(here: Stand) -> None:
    bench = Bench(here)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(InputError, match="cannot write"):
            bench.get()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(here.read(bench.file)) == 100
    assert same(bench.get(), ARTIFACT)
    assert (bench.built, bench.warnings) == (2, [])


def test_a_server_that_goes_away_is_told_without_its_password(tmp_path: Path) -> None:
    with ftp_server(tmp_path) as url:
        workspace = Workspace(url, DEPENDS_ON, print)
    with pytest.raises(InputError, match="Connection refused") as caught:
        workspace.get("original", Artifact)
    assert PASSWORD not in f"{caught.value.problem} {caught.value.remedy}"


def test_the_fingerprint_survives_being_kept(bench: Bench) -> None:
    assert bench.get().fingerprint() == ARTIFACT.fingerprint()


def test_the_fingerprint_is_of_the_tensors_alone_in_any_order_and_layout() -> None:
    turned = {
        name: tensor.t().contiguous().t() if tensor.dim() == 2 else tensor
        for name, tensor in reversed(list(ARTIFACT.tensors.items()))
    }
    assert Artifact(turned, {"seconds": 9}).fingerprint() == ARTIFACT.fingerprint()


@pytest.mark.parametrize(
    "changed",
    [
        {"y": torch.zeros(4)},
        {"x": torch.zeros(4), "y": torch.zeros(0)},
        {"x": torch.zeros(2, 2)},
        {"x": torch.zeros(4, dtype=torch.int32)},
        {"x": torch.tensor([0.0, 0.0, 0.0, -0.0])},
        {},
    ],
)
def test_the_fingerprint_tells_names_types_shapes_and_bits(changed: dict[str, Tensor]) -> None:
    assert Artifact(changed).fingerprint() != Artifact({"x": torch.zeros(4)}).fingerprint()
