"""`--data-dir`, with one of the paper's definitions on a few images in CIFAR's own format."""

import json
from importlib import resources
from pathlib import Path

import pytest

from tests.pareto.cli.conftest import Invoke
from tests.unlearn.datasets.planted import cut_network, plant_into

LONG, NAME = "cifar10-resnet18-class", "short"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the definition, but for a small model and a short recipe, and with its data."""
    text = resources.files("studies").joinpath(f"{LONG}.toml").read_text("utf-8")
    short = text.replace('model = "resnet18"', 'model = "small-cnn"')
    short = short.replace("epochs = 80", "epochs = 8").replace(LONG, NAME)
    (tmp_path / "short.toml").write_text(short, "utf-8")
    (tmp_path / "data").mkdir()
    cut_network(monkeypatch.setattr)
    plant_into(tmp_path / "data", "cifar10", monkeypatch.setattr, train=50, test=20)
    return tmp_path


def test_a_study_finds_its_data_where_it_is_told_to_look(folder: Path, invoke: Invoke) -> None:
    here = ["--device", "cpu", "--format", "json", "--quiet"]
    begun = ["--study", "short.toml", "--workers", "1", "--budget", "2", *here]
    ending = invoke(folder, *begun, "--data-dir", "data")
    assert ending.code == 0
    first, second = json.loads(ending.out)["trials"]
    assert (first["params"]["alpha"], second["params"]["alpha"]) == (12, 1)
    assert first["metrics"]["kept_forget"] <= 2  # half of the five dogs

    # It is remembered wherever the program is run,
    (folder / "elsewhere").mkdir()
    places = ["--storage", f"sqlite:///{folder}/pareto-search.db"]
    places += ["--workspace", str(folder / "pareto-search-workspace")]
    more = ["--study", NAME, "--workers", "1", "--budget", "3", *here, *places]
    assert invoke(folder / "elsewhere", *more).code == 0

    # and may be told anew once the data has moved.
    (folder / "data").rename(folder / "moved")
    validate = ["validate", "--trial", "1", "--repeats", "1", *here]
    more = ["--study", NAME, "--workers", "1", "--budget", "4", *here]
    for words in (more, validate):
        ending = invoke(folder, *words, "--data-dir", "elsewhere")
        ending.assert_is_users_mistake()
        assert "elsewhere" in ending.err
        ending = invoke(folder, *words, "--data-dir", "moved")
        assert ending.code == 0
    assert json.loads(ending.out)["reproduced"]
