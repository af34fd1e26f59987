"""The program on a GPU, from a definition to weights that forgot."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pareto.home import NAME, TINY, Home
from tests.pareto.program import run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

# Batches so small that all trainings have enough steps to be recorded.
DEFINITION = (
    TINY.replace("train_limit = 120", "train_limit = 800")
    .replace("epochs = 3", "epochs = 3\nbatch_size = 16")
    .replace("epochs = 2", "epochs = 2\nbatch_size = 8")
)
ON_GPU = ("--device", "cuda:0")


def search(folder: Path, *words: str) -> list[dict[str, Any]]:
    """The trials that there are after a search."""
    ending = run(folder, "--study", "tiny.toml", *words, "--format", "json")
    assert ending.code == 0, ending.err
    trials: list[dict[str, Any]] = json.loads(ending.out)["trials"]
    return trials


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A search with two workers on one GPU. Not to be changed."""
    home = Home.new(tmp_path_factory.mktemp("on-gpu"))
    (home.folder / "tiny.toml").write_text(DEFINITION)
    search(home.folder, *ON_GPU, "--budget", "8", "--workers", "2")
    return home


def runs(home: Home) -> list[dict[str, Any]]:
    return [trial.user_attrs["run"] for trial in home.trials()]


def test_several_workers_share_it(home: Home) -> None:
    assert home.states() == ["COMPLETE"] * 8
    name = torch.cuda.get_device_name(0)
    assert {run["device"] for run in runs(home)} == {f"cuda:0 ({name})"}
    assert home.notes()["calibrated_on"]["device"] == f"cuda:0 ({name})"


def test_a_calibration_there_prices_every_phase(home: Home) -> None:
    units = home.notes()["unit_times"]
    assert units.keys() == runs(home)[0]["phases"].keys()
    assert all(sum(unit.values()) > 0 for unit in units.values())
    assert units["finetune"]["eager"] > 0


def test_the_same_search_has_the_same_models_and_trials(home: Home, tmp_path: Path) -> None:
    again = Home.new(tmp_path)
    (again.folder / "tiny.toml").write_text(DEFINITION)
    search(again.folder, *ON_GPU, "--budget", "1", "--workers", "1")
    assert again.notes()["fingerprint"] == home.notes()["fingerprint"]
    first, same = home.trials()[0], again.trials()[0]
    assert same.values == first.values
    assert same.user_attrs["metrics"]["ta"] == first.user_attrs["metrics"]["ta"]


def test_a_trial_is_reproduced_bit_for_bit(home: Home, tmp_path: Path) -> None:
    copy = home.copy(tmp_path / "home")
    words = ("validate", "--trial", "3", "--repeats", "1", "--format", "json", *ON_GPU)
    ending = run(copy.folder, *words)
    assert ending.code == 0, ending.err
    assert json.loads(ending.out)["reproduced"]


def test_a_search_goes_on_on_the_cpu_with_models_and_prices_of_the_gpu(
    home: Home, tmp_path: Path
) -> None:
    copy = home.copy(tmp_path / "home")
    (copy.folder / "tiny.toml").write_text(DEFINITION)
    search(copy.folder, "--device", "cpu", "--budget", "9", "--workers", "1")
    assert copy.notes() == home.notes()
    assert runs(copy)[-1]["device"].startswith("cpu")
    assert runs(copy)[-1]["fingerprint"] == home.notes()["fingerprint"]


def test_the_stopwatch_may_count_instead(tmp_path: Path) -> None:
    measured = DEFINITION.replace("retrainings = 3", 'retrainings = 3\nruntime = "measured"')
    (tmp_path / "tiny.toml").write_text(measured)
    for trial in search(tmp_path, *ON_GPU, "--budget", "2"):
        assert trial["metrics"]["rte"] == trial["metrics"]["stopwatch_seconds"] > 0


def test_weights_forget_there(home: Home, tmp_path: Path) -> None:
    copy = home.copy(tmp_path / "home")
    (copy.folder / "request.csv").write_text("index\n3\n40\n41\n70\n")
    words = ("apply", "--study", NAME, "--trial", "3", "--forget", "request.csv", *ON_GPU)
    ending = run(copy.folder, *words)
    assert ending.code == 0, ending.err
    folder = copy.folder / "unlearned-request"
    assert (folder / "unlearned.safetensors").exists()
