"""A user's own model with weights of their own, which `pareto-search` did not train."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

import studies
from pareto.preparation.material import Material
from tests.pareto.cli.conftest import Invoke
from tests.pareto.program import Ending, run

MEAN, STD = 0.6, 0.1
TRAIN, TEST, FORGOTTEN = 200, 120, 40
NET = """
from torch import nn


def net(classes):
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.LeakyReLU(), nn.Flatten(), nn.Linear(288, classes)
    )
"""
DEFINITION = f"""
name = "theirs"
model = "net.py:net"
original = "weights/theirs.pt"
normalisation = {{ mean = [{MEAN}], std = [{STD}] }}

[data]
name = "folder:images"

[request]
kind = "indices"
file = "forget.txt"

[recipe]
epochs = 2
learning_rate = 0.05

[method]
name = "conmu"
epochs = 1

[objectives]
retrainings = 3

[space]
delta = {{ low = 0, high = 2 }}
"""
SEARCH = ("--budget", "2", "--workers", "1", "--device", "cpu", "--format", "json")


class User(NamedTuple):
    """What a user comes with, and what the program answers them.

    Attributes:
        folder: the definition with all that it names.
        network: theirs, trained.
        train: N×1×8×8 in pixel space, and N labels, in the order of the files.
        ending: of a search from the folder above, so that paths matter.
    """

    folder: Path
    network: nn.Module
    train: tuple[Tensor, Tensor]
    ending: Ending

    @property
    def home(self) -> Path:
        return self.folder.parent


def written_images(folder: Path) -> tuple[Tensor, Tensor]:
    """Digits as files; returns the training data in the order of the files."""
    digits = load_digits()
    pixels = np.asarray(digits.images * 15, dtype=np.uint8)
    listed = []
    for number, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
        part = "train" if number < TRAIN else "test"
        file = folder / part / str(label) / f"{number:04}.png"
        if number < TRAIN + TEST:
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(file)
            listed.append((file, number))
    order = [number for file, number in sorted(listed) if file.is_relative_to(folder / "train")]
    return torch.tensor(pixels[order])[:, None] / 255, torch.tensor(digits.target[order])


def trained(images: Tensor, labels: Tensor) -> nn.Module:
    """The user's network, trained in plain PyTorch: well, but not to perfection."""
    namespace: dict[str, Any] = {}
    exec(NET, namespace)
    torch.manual_seed(0)
    network: nn.Module = namespace["net"](10)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(8):
        optimiser.zero_grad()
        F.cross_entropy(network((images - MEAN) / STD), labels).backward()
        optimiser.step()
    return network.eval()


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    home = tmp_path_factory.mktemp("user")
    folder = home / "study"
    (folder / "weights").mkdir(parents=True)
    (folder / "net.py").write_text(NET)
    (folder / "theirs.toml").write_text(DEFINITION)
    (folder / "forget.txt").write_text("\n".join(map(str, range(FORGOTTEN))))
    train = written_images(folder / "images")
    network = trained(*train)
    torch.save({"epoch": 3, "state_dict": network.state_dict()}, folder / "weights" / "theirs.pt")
    ending = run(home, "--study", "study/theirs.toml", *SEARCH)
    return User(folder, network, train, ending)


def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """In percent, by plain PyTorch."""
    with torch.no_grad():
        right = network((images - MEAN) / STD).argmax(dim=1) == labels
    return 100 * float(right.double().mean())


def test_the_figures_of_the_original_are_those_of_the_users_weights(
    user: User, invoke: Invoke
) -> None:
    assert user.ending.code == 0
    assert "training the original model" not in user.ending.err
    assert "guessing" not in user.ending.err
    shown = json.loads(invoke(user.home, "show", "--format", "json").out)
    assert [trial["state"] for trial in shown["trials"]] == ["complete"] * 2
    images, labels = user.train
    # Which half of the test data the search sees is the program's to draw.
    half = Material.load(studies.load(user.folder / "theirs.toml")).search
    retained = torch.isin(half.labels, labels[FORGOTTEN:])
    assert not retained.all()  # the files are sorted by class
    wanted = {
        "fa": accuracy(user.network, images[:FORGOTTEN], labels[:FORGOTTEN]),
        "ra": accuracy(user.network, images[FORGOTTEN:], labels[FORGOTTEN:]),
        "ta": accuracy(user.network, half.images[retained] / 255, half.labels[retained]),
        "ta_all_classes": accuracy(user.network, half.images / 255, half.labels),
    }
    assert {name: shown["original"][name] for name in wanted} == pytest.approx(wanted)
    assert all(50 < value < 100 for value in wanted.values())


def test_a_trial_of_the_users_weights_is_validated(user: User, invoke: Invoke) -> None:
    words = ("--trial", "1", "--repeats", "1", "--device", "cpu", "--format", "json")
    ending = invoke(user.home, "validate", *words)
    assert ending.code == 0
    assert json.loads(ending.out)["reproduced"] is True


def test_a_study_goes_on_by_its_name_while_the_weights_are_what_they_were(
    user: User, invoke: Invoke
) -> None:
    resume = ("--study", "theirs", "--budget")
    assert invoke(user.home, *resume, "3", "--workers", "1", "--device", "cpu").code == 0
    file = user.folder / "weights" / "theirs.pt"
    state = user.network.state_dict()
    try:
        torch.save(state | {"3.bias": state["3.bias"] + 0.1}, file)
        ending = invoke(user.home, *resume, "4")
        ending.assert_is_users_mistake()
        assert "original.sha256 differs" in ending.err
        assert "put back the files that it was begun with" in ending.err
        file.unlink()
        ending = invoke(user.home, *resume, "4")
        ending.assert_is_users_mistake()
        assert f"cannot read {file}: No such file" in ending.err
    finally:
        torch.save(state, file)
    # The same weights, in a file that is written otherwise.
    assert invoke(user.home, *resume, "3").code == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("net.py:net", "small-cnn", "holds the weights of another network than small-cnn"),
        ("theirs.pt", "none.pt", "No such file"),
        ("[0.6]", "[0.6, 0.6]", "normalisation: give as many values of mean as of std"),
        ("[recipe]\nepochs = 2\nlearning_rate = 0.05", "", "recipe: is missing"),
    ],
)
def test_what_does_not_fit_together_is_the_users_mistake(
    user: User, old: str, new: str, words: str, tmp_path: Path, invoke: Invoke
) -> None:
    folder = Path(shutil.copytree(user.folder, tmp_path / "study"))
    assert old in DEFINITION
    (folder / "theirs.toml").write_text(DEFINITION.replace(old, new))
    ending = invoke(tmp_path, "--study", "study/theirs.toml", *SEARCH)
    ending.assert_is_users_mistake()
    assert words in ending.err
    assert [file.name for file in tmp_path.iterdir()] == ["study"]
