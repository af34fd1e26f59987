"""A search with a model of the user's own, in a file outside of the project."""

from pathlib import Path

import pytest

import pareto
import studies
from pareto.preparation.material import Material
from tests.pareto.home import TINY
from unlearn.errors import InputError

# Without batch norm, with dropout, and with weights that are used twice.
NET = """
from torch import nn


def net(classes):
    twice, once = nn.Linear(32, 32), nn.Linear(32, 32)
    once.weight = twice.weight
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.LayerNorm(32), nn.ReLU(), twice, nn.Dropout(0.2), once,
        nn.ReLU(), nn.Linear(32, classes),
    )
"""


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    """A definition file with its model beside it."""
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "net.py").write_text(NET)
    file = folder / "own.toml"
    file.write_text(TINY.replace("small-cnn", "net.py:net"))
    return file


def test_a_search_runs_with_a_model_that_lies_beside_the_definition(
    definition: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # not where the model is
    first, second = (
        pareto.search(definition, 2, storage=f"sqlite:///{name}.db", workers=1, device="cpu")
        for name in ("first", "second")
    )
    assert len(first.values()) == 2
    assert first.values() == second.values()  # with dropout, too


def test_the_model_is_part_of_the_studys_identity(definition: Path) -> None:
    before = Material.load(studies.load(definition)).identity()
    (definition.parent / "net.py").write_text(NET.replace("Dropout(0.2)", "Dropout(0.3)"))
    after = Material.load(studies.load(definition)).identity()
    assert {key for key in before if before[key] != after[key]} == {"model.sha256"}


def test_a_model_that_cannot_be_used_is_refused_before_anything_is_written(
    definition: Path, tmp_path: Path
) -> None:
    (definition.parent / "net.py").write_text(NET.replace("64, 32", "65, 32"))
    with pytest.raises(InputError, match=r"net\.py:net cannot be used for 1-channel images of 8×8"):
        pareto.search(definition, 2, storage=f"sqlite:///{tmp_path}/own.db")
    assert not (tmp_path / "own.db").exists()
