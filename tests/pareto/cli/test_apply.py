"""`pareto-search apply`, from images, a model and weights of one's own to weights that forgot."""

import json
import pickle
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import pareto
from pareto import storages
from pareto.defaults import WORKSPACE
from pareto.ledger import Ledger
from pareto.results.averages import SIX_FIGURES
from tests.pareto.cli.conftest import Invoke
from tests.pareto.program import run

GREY_NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 6, 5, stride=3), nn.GroupNorm(2, 6), nn.ReLU())
        self.head = nn.Linear(6 * 8 * 8, classes)

    def forward(self, images):
        return self.head(self.features(images).flatten(1))
"""
COLOUR_NET = """
from torch import nn


def net(classes):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(),
        nn.LayerNorm(48), nn.Linear(48, classes),
    )
"""
REST = """
[data]
name = "folder:images"

[request]
kind = "random"
fraction = 0.2

[recipe]
epochs = 2
learning_rate = 0.05

[method]
name = "conmu"
epochs = 2
learning_rate = 0.05

[objectives]
retrainings = 3

[space]
delta = { low = 0, high = 1 }
"""
GREY = """
name = "grey"
model = "net.py:Net"
original = "theirs.pt"
normalisation = { mean = [0.4], std = [0.3] }
"""
COLOUR = """
name = "colour"
model = "net.py:net"
original = "theirs.safetensors"
"""
STORAGE = "pareto-search.db"
CPU = ("--device", "cpu")
SEARCH = ("--budget", "2", "--workers", "1", "--quiet", "--format", "json", *CPU)

Samples = tuple[Tensor, Tensor]


class Walk(NamedTuple):
    """What a user comes with.

    Attributes:
        folder: with the definition, the model, the weights, the images and a request.
        network: makes theirs, in plain PyTorch.
        classes: how many there are.
    """

    folder: Path
    network: Callable[[int], nn.Module]
    classes: int

    def samples(self, part: str) -> Samples:
        """The images as PyTorch takes them, in [0, 1], and their labels, in the order of files."""
        names = sorted(folder.name for folder in (self.folder / "images" / "train").iterdir())
        files = sorted((self.folder / "images" / part).glob("*/*.png"))
        images = torch.stack([torch.tensor(np.array(Image.open(file))) for file in files])
        images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
        labels = torch.tensor([names.index(file.parent.name) for file in files])
        return images.float() / 255, labels

    def accuracies(
        self, weights: Path, evidence: dict[str, Any], *, earlier: Sequence[int] = ()
    ) -> dict[str, float]:
        """What the weights in a file reach in plain PyTorch, in percent."""
        network = self.network(self.classes)
        if weights.suffix == ".pt":
            network.load_state_dict(torch.load(weights, weights_only=True))
        else:
            network.load_state_dict(safetensors.torch.load_file(weights))
        norm = evidence["weights"]["normalisation"]
        mean, std = (torch.tensor(norm[key]).view(1, -1, 1, 1) for key in ("mean", "std"))

        def right(samples: Samples) -> Tensor:
            images, labels = samples
            with torch.no_grad():
                answers: Tensor = network.eval()((images - mean) / std)
            return answers.argmax(dim=1) == labels

        train, forget = right(self.samples("train")), evidence["asked"]["positions"]
        retain = [i for i in range(len(train)) if i not in {*forget, *earlier}]
        told = {"ta": right(self.samples("test")), "fa": train[forget], "ra": train[retain]}
        if earlier:
            told["fa_of_earlier_requests"] = train[list(earlier)]
        return {name: 100 * float(part.double().mean()) for name, part in told.items()}


def write_images(folder: Path, shape: tuple[int, ...], classes: Sequence[str], seed: int) -> None:
    """Noisy images, 8 for testing and 24 for training of each class, told by their pattern."""
    draws = np.random.default_rng(seed)
    patterns = draws.uniform(0, 255, (len(classes), *shape))
    for name, pattern in zip(classes, patterns, strict=True):
        for part, count in (("train", 24), ("test", 8)):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                noisy = 0.15 * pattern + draws.normal(90, 60, shape)
                pixels = noisy.clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{number:02}.png")


def trained(network: nn.Module, images: Tensor, labels: Tensor) -> nn.Module:
    """In plain PyTorch: well, but not to perfection."""
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(5):
        optimiser.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimiser.step()
    return network


def made(
    folder: Path,
    source: str,
    definition: str,
    shape: tuple[int, ...],
    classes: Sequence[str],
) -> Walk:
    write_images(folder / "images", shape, classes, seed=len(classes))
    (folder / "net.py").write_text(source)
    (folder / "mine.toml").write_text(definition + REST)
    namespace: dict[str, Any] = {"__name__": "net"}
    exec(source, namespace)
    network = namespace["Net" if "Net" in namespace else "net"]
    walk = Walk(folder, network, len(classes))
    images, labels = walk.samples("train")
    torch.manual_seed(0)
    if len(shape) == 2:
        theirs = trained(network(len(classes)), (images - 0.4) / 0.3, labels)
        torch.save(theirs.state_dict(), folder / "theirs.pt")
    else:
        std, mean = torch.std_mean(images, dim=(0, 2, 3), keepdim=True)
        theirs = trained(network(len(classes)), (images - mean) / std, labels)
        safetensors.torch.save_file(theirs.state_dict(), folder / "theirs.safetensors")
    (folder / "request.csv").write_text("person,index\nann,3\nbob,40\ncid,41\ndot,70\n")
    return walk


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Grey, 28×28, and a finished search."""
    folder, classes = tmp_path_factory.mktemp("grey"), [f"kind {number}" for number in range(5)]
    walk = made(folder, GREY_NET, GREY, (28, 28), classes)
    pareto.search(
        folder / "mine.toml",
        2,
        storage=f"sqlite:///{folder}/{STORAGE}",
        workspace=folder / WORKSPACE,
        workers=1,
        device="cpu",
    )
    return walk


@pytest.fixture
def own(grey: Walk, tmp_path: Path) -> Walk:
    """A copy, to be changed; what its study remembers lies where the search found it."""
    folder = tmp_path / "own"
    shutil.copytree(grey.folder, folder, ignore=shutil.ignore_patterns(f"{STORAGE}*"))
    # Copied by SQLite, which knows of changes that are not in the file yet.
    with (
        closing(sqlite3.connect(grey.folder / STORAGE)) as source,
        closing(sqlite3.connect(folder / STORAGE)) as target,
    ):
        source.backup(target)
    return grey._replace(folder=folder)


def names(folder: Path) -> set[str]:
    """What lies in it; SQLite's own files come and go."""
    return {file.name for file in folder.iterdir() if not file.name.startswith(f"{STORAGE}-")}


def evidence_in(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "evidence.json").read_text("utf-8")))


def assert_figures(told: dict[str, float], reached: dict[str, float]) -> None:
    assert {name: told[name] for name in reached} == reached


def test_a_picked_point_is_applied_and_its_weights_reach_what_the_evidence_says(
    own: Walk, invoke: Invoke
) -> None:
    point = invoke(own.folder, "pick", "--format", "json")
    (own.folder / "point.json").write_text(point.out)
    words = ("--params", "point.json", "--study", "mine.toml", "--forget", "request.csv", *CPU)
    ending = run(own.folder, "apply", *words)
    assert ending.code == 0
    folder = own.folder / "unlearned-request"
    evidence = evidence_in(folder)
    assert evidence["asked"]["positions"] == [3, 40, 41, 70]
    assert evidence["weights"]["normalisation"] == {"mean": [0.4], "std": [0.3]}
    figures = evidence["figures"]
    before = own.accuracies(own.folder / "theirs.pt", evidence)
    after = own.accuracies(folder / "unlearned.safetensors", evidence)
    assert_figures(figures["before"], before)
    assert_figures(figures["after"], after)
    assert 40 < before["ra"] < 100
    assert before != after
    for line in (line for lines in evidence["meaning"].values() for line in lines):
        assert line in ending.out
    picked = json.loads(point.out)
    parameters = evidence["done"]["parameters"]
    assert parameters.items() >= {**picked["params"], "epochs": 2}.items()
    assert evidence["study"] == {
        "study": "grey",
        "trial": picked["number"],
        "found": {name: picked["metrics"][name] for name in SIX_FIGURES},
        "validation": None,
        "file": None,
    }


def test_a_trial_is_applied_to_colour_images_that_are_not_square(
    tmp_path: Path, invoke: Invoke
) -> None:
    walk = made(tmp_path, COLOUR_NET, COLOUR, (12, 20, 3), ["cat", "dog", "eel"])
    assert invoke(tmp_path, "--study", "mine.toml", *SEARCH).code == 0
    words = ("--trial", "1", "--forget", "request.csv", "--format", "json", "--quiet", *CPU)
    ending = invoke(tmp_path, "apply", *words)
    assert (ending.code, ending.err) == (0, "")
    evidence = evidence_in(tmp_path / "unlearned-request")
    assert json.loads(ending.out) == evidence
    std, mean = torch.std_mean(walk.samples("train")[0], dim=(0, 2, 3))
    assert evidence["weights"]["normalisation"]["mean"] == pytest.approx(mean.tolist(), rel=1e-5)
    assert evidence["weights"]["normalisation"]["std"] == pytest.approx(std.tolist(), rel=1e-5)
    before = walk.accuracies(tmp_path / "theirs.safetensors", evidence)
    after = walk.accuracies(tmp_path / "unlearned-request" / "unlearned.safetensors", evidence)
    assert_figures(evidence["figures"]["before"], before)
    assert_figures(evidence["figures"]["after"], after)
    assert 50 < before["ra"] < 100
    assert before != after
    assert evidence["study"]["trial"] == 1


def test_a_second_request_goes_on_from_the_first(own: Walk, invoke: Invoke) -> None:
    assert invoke(own.folder, "apply", "--trial", "0", "--forget", "request.csv", *CPU).code == 0
    (own.folder / "next.txt").write_text("0 119 # of the last letter\n")
    words = ("--trial", "0", "--original", "unlearned-request/unlearned.safetensors", *CPU)
    assert invoke(own.folder, "apply", "--forget", "next.txt", *words).code == 0
    first, second = (evidence_in(own.folder / f"unlearned-{name}") for name in ("request", "next"))
    (link,) = second["chain"]
    assert link["weights_file_sha256"] == first["weights"]["after"]["file_sha256"]
    assert second["weights"]["before"]["file_sha256"] == link["weights_file_sha256"]
    weights = own.folder / "unlearned-next" / "unlearned.safetensors"
    reached = own.accuracies(weights, second, earlier=[3, 40, 41, 70])
    assert_figures(second["figures"]["after"], reached)
    again = invoke(own.folder, "apply", "--forget", "request.csv", "--out", "again", *words)
    again.assert_is_users_mistake()
    told = "index 3 (kind 0/03.png), which was forgotten by an earlier request"
    assert told in again.err
    assert not (own.folder / "again").exists()


def test_requirements_choose_the_trial_that_pick_chooses(own: Walk, invoke: Invoke) -> None:
    words = ("--require", "ta >= 0", "--prefer", "ta")
    picked = json.loads(invoke(own.folder, "pick", *words, "--format", "json").out)
    (own.folder / "policy.toml").write_text('[requirements]\nuseful = "ta >= 0"\n')
    for name, chosen in (("a", words), ("b", ("--policy", "policy.toml", "--prefer", "ta"))):
        out = ("--forget", "request.csv", "--out", name, *CPU)
        assert invoke(own.folder, "apply", *chosen, *out).code == 0
        assert evidence_in(own.folder / name)["study"]["trial"] == picked["number"]


def test_a_validated_trial_brings_its_figures_along(own: Walk, invoke: Invoke) -> None:
    words = ("--trial", "1", *CPU)
    validated = invoke(own.folder, "validate", *words, "--repeats", "1", "--format", "json")
    point = invoke(own.folder, "pick", "--require", "ta >= 0", "--format", "json").out
    (own.folder / "point").write_text(point)
    forget = ("--forget", "request.csv", *CPU, "--out")
    assert invoke(own.folder, "apply", "--trial", "1", *forget, "trial").code == 0
    assert invoke(own.folder, "apply", "--params", "point", *forget, "file").code == 0
    by_trial, by_file = (evidence_in(own.folder / name)["study"] for name in ("trial", "file"))
    assert {**by_trial["validation"], "requirements": []} == json.loads(validated.out)
    assert by_file["validation"] == json.loads(point)["validation"]


def test_a_picked_file_that_was_changed_is_not_taken_for_the_trial(
    own: Walk, invoke: Invoke
) -> None:
    picked = json.loads(invoke(own.folder, "pick", "--format", "json").out)
    forget = ("--study", "mine.toml", "--forget", "request.csv", *CPU)
    more = {"params": {**picked["params"], "alpha": picked["params"]["alpha"] + 1}}
    for name, change in (("alpha", more), ("epochs", {"fixed": {**picked["fixed"], "epochs": 9}})):
        (own.folder / "changed.json").write_text(json.dumps({**picked, **change}))
        ending = invoke(own.folder, "apply", "--params", "changed.json", *forget)
        ending.assert_is_users_mistake()
        assert f"is not what trial {picked['number']} of 'grey' is: {name} differ" in ending.err
    assert not (own.folder / "unlearned-request").exists()


NOWHERE = {"study": None, "trial": None, "found": None, "validation": None}


@pytest.mark.parametrize("change", [{"number": None}, {"study": "of somebody else"}], ids=str)
def test_what_no_study_here_knows_of_is_nobodys_finding(
    change: dict[str, Any], own: Walk, invoke: Invoke
) -> None:
    picked = json.loads(invoke(own.folder, "pick", "--format", "json").out)
    validation = {"mean": {"ta": 99.0}}
    content = {**picked, "validation": validation, **change}
    (own.folder / "point.json").write_text(json.dumps(content))
    words = ("--params", "point.json", "--study", "mine.toml", "--forget", "request.csv", *CPU)
    assert invoke(own.folder, "apply", *words).code == 0
    evidence = evidence_in(own.folder / "unlearned-request")
    assert evidence["study"] == {**NOWHERE, "file": "point.json"}
    assert "comes from is not known" in "".join(evidence["meaning"]["does_not_show"])


def test_images_that_are_not_those_of_the_study_are_refused(own: Walk, invoke: Invoke) -> None:
    file = next((own.folder / "images" / "train").rglob("*.png"))
    shutil.copy(file, file.with_name("0000.png"))
    (own.folder / "point.json").write_text(invoke(own.folder, "pick", "--format", "json").out)
    words = ("--params", "point.json", "--study", "mine.toml", "--forget", "request.csv", *CPU)
    ending = invoke(own.folder, "apply", *words)
    ending.assert_is_users_mistake()
    assert "was made with other files: data.sha256 differ" in ending.err
    assert not (own.folder / "unlearned-request").exists()


@pytest.mark.parametrize("way", [("--trial", "0"), ("--params", "ft.toml")], ids=" ".join)
def test_a_studys_model_is_not_made_anew_of_other_images(
    way: tuple[str, str], own: Walk, invoke: Invoke
) -> None:
    (own.folder / "ft.toml").write_text('method = "ft"\n[params]\n')
    storage = storages.connect(f"sqlite:///{own.folder / STORAGE}", writable=True)
    ledger = Ledger(storage, "grey")
    ledger.set_note("identity", {**ledger.note("identity"), "data.sha256": "another"})
    words = ("--study", "grey", *way, "--forget", "request.csv", *CPU)
    ending = invoke(own.folder, "apply", *words)
    ending.assert_is_users_mistake()
    assert "was made with other files: data.sha256 differ" in ending.err
    named = invoke(own.folder, "apply", *words, "--original", "theirs.pt")
    assert named.code == 0
    told = evidence_in(own.folder / "unlearned-request")["meaning"]["does_not_show"]
    assert any("The study was made on other data" in line for line in told)


def test_images_may_be_named_by_their_files(own: Walk, invoke: Invoke) -> None:
    files = sorted((own.folder / "images" / "train").glob("*/*.png"))
    names = [f"{files[n].parent.name}/{files[n].name}" for n in (40, 3)]
    (own.folder / "names.csv").write_text("\n".join(["file", *names]))
    words = ("--trial", "0", "--forget", "names.csv", *CPU)
    assert invoke(own.folder, "apply", *words).code == 0
    asked = evidence_in(own.folder / "unlearned-names")["asked"]
    assert (asked["positions"], asked["files"]) == ([3, 40], names[::-1])


def test_a_configuration_may_be_written_by_hand(own: Walk, invoke: Invoke) -> None:
    (own.folder / "point.toml").write_text('method = "ft"\n[params]\nepochs = 3\n')
    words = ("--params", "point.toml", "--forget", "request.csv", "--seed", "7", *CPU)
    assert invoke(own.folder, "apply", *words).code == 0
    evidence = evidence_in(own.folder / "unlearned-request")
    assert (evidence["done"]["method"], evidence["done"]["parameters"]["epochs"]) == ("ft", 3)
    assert evidence["done"]["seed"] == 7
    assert evidence["study"] == {**NOWHERE, "file": "point.toml"}


def test_a_second_run_overwrites_nothing(own: Walk, invoke: Invoke) -> None:
    words = ("apply", "--trial", "0", "--forget", "request.csv", *CPU)
    assert invoke(own.folder, *words).code == 0
    before = {f: f.read_bytes() for f in (own.folder / "unlearned-request").iterdir()}
    invoke(own.folder, *words).assert_is_users_mistake()
    assert {f: f.read_bytes() for f in (own.folder / "unlearned-request").iterdir()} == before


def test_that_no_trial_satisfies_ends_with_exit_code_3(grey: Walk, invoke: Invoke) -> None:
    words = ("--require", "frm > 1", "--forget", "request.csv", *CPU)
    ending = invoke(grey.folder, "apply", *words)
    assert (ending.code, ending.out) == (3, "")
    assert "'frm > 1' binds" in ending.err


def test_that_the_method_fails_ends_with_exit_code_1(own: Walk, invoke: Invoke) -> None:
    wild = 'method = "ga"\n[params]\nepochs = 20\nlearning_rate = 1e9\n'
    (own.folder / "wild.toml").write_text(wild)
    words = ("--params", "wild.toml", "--forget", "request.csv", "--quiet", *CPU)
    ending = invoke(own.folder, "apply", *words)
    assert (ending.code, ending.out) == (1, "")
    assert len(ending.err.splitlines()) == 2
    assert not list((own.folder / "unlearned-request").iterdir())


class Code:
    """Runs code where it is unpickled: it makes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("code-was-run", "w")


@pytest.fixture(scope="module")
def wrong(grey: Walk) -> Walk:
    """With files of every kind that are not right; nothing shall change in the folder."""
    files: dict[str, str | bytes] = {
        "junk.csv": "index\n3\nann\n",
        "beyond.txt": "3\n120\n",
        "quote.csv": 'index,name\n3,"ann\n5,bob\n',
        "binary.txt": b"\xff\x00\x9d",
        "code.npy": pickle.dumps(Code()),
        "cut.json": '{"params": ',
        "list.json": "[]",
        "none.json": '{"method": "ft"}',
        "odd.toml": "[params]\nno_such = 3\n",
        "value.toml": "[params]\nalpha = -3\n",
        "delta.toml": "[params]\ndelta = 50\n",
        "keep.toml": '[params]\nkeep = "most"\n',
        "method.toml": 'method = "magic"\n[params]\n',
        "method.json": '{"method": ["ft"], "fixed": {}, "params": {}}',
        "picked.json": '{"method": "ft", "fixed": {"epochs": -1}, "params": {}}',
        "more.json": '{"method": "ft", "fixed": {}, "params": {"no_such": 1}}',
        "nan.json": '{"method": "ft", "fixed": {}, "params": {"learning_rate": NaN}}',
        "text.pt": "no weights",
        "text.safetensors": "no weights",
        "empty.policy": "",
        "a-file": "",
    }
    for name, content in files.items():
        content = content.encode() if isinstance(content, str) else content
        (grey.folder / name).write_bytes(content)
    torch.save(Code(), grey.folder / "code.pt")
    torch.save(nn.Linear(3, 3), grey.folder / "whole.pt")
    torch.save(grey.network(7).state_dict(), grey.folder / "classes.pt")
    safetensors.torch.save_file({"a": torch.ones(3)}, grey.folder / "another.safetensors")
    return grey


TRIAL = ("--trial", "0")
FORGET = ("--forget", "request.csv")
FORGET_FILES = (
    "none.csv",
    "images",
    "junk.csv",
    "beyond.txt",
    "binary.txt",
    "quote.csv",
    "code.npy",
)
PARAMS_FILES = (
    *("none", "cut.json", "none.json", "list.json", "odd.toml", "value.toml", "method.toml"),
    *("method.json", "picked.json", "more.json", "nan.json", "delta.toml", "keep.toml"),
)
ORIGINAL_FILES = (
    *("none.pt", "images", "text.pt", "code.pt", "whole.pt", "classes.pt"),
    *("text.safetensors", "another.safetensors"),
)
MISTAKES = [
    TRIAL,
    FORGET,
    *((*TRIAL, "--forget", name) for name in FORGET_FILES),
    *((*FORGET, "--params", name) for name in PARAMS_FILES),
    *((*FORGET, *TRIAL, "--original", name) for name in ORIGINAL_FILES),
    (*FORGET, *TRIAL, "--out", "a-file"),
    (*FORGET, *TRIAL, "--out", "a-file/folder"),
    (*FORGET, *TRIAL, "--params", "odd.toml"),
    (*FORGET, *TRIAL, "--require", "ta >= 0"),
    (*FORGET, *TRIAL, "--prefer", "ta"),
    (*FORGET, "--trial", "99"),
    (*FORGET, "--require", "ta >> 0"),
    (*FORGET, "--policy", "empty.policy"),
    (*FORGET, *TRIAL, "--seed", "-1"),
    (*FORGET, *TRIAL, "--device", "tpu"),
    (*FORGET, *TRIAL, "--study", "none"),
    (*FORGET, *TRIAL, "--storage", "sqlite:///none.db"),
]


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_a_mistake_is_told_in_two_lines_and_nothing_is_written(
    words: tuple[str, ...], wrong: Walk, invoke: Invoke
) -> None:
    before = names(wrong.folder)
    invoke(wrong.folder, "apply", "--quiet", *words).assert_is_users_mistake()
    # Of whatever the code in a pickle does, it has made no file either.
    assert names(wrong.folder) == before


def test_weights_that_the_study_remembers_and_are_gone_are_the_users_mistake(
    own: Walk, invoke: Invoke
) -> None:
    shutil.copy(own.folder / "mine.toml", own.folder / "other.toml")
    (own.folder / "theirs.pt").unlink()
    (own.folder / "ft.toml").write_text('method = "ft"\n[params]\n')
    words = ("--study", "other.toml", "--params", "ft.toml", *FORGET)
    ending = invoke(own.folder, "apply", *words)
    ending.assert_is_users_mistake()
    assert "theirs.pt: No such file" in ending.err
