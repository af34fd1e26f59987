"""Standard output is for results, whatever a model of the user's own prints."""

import json
import os

import pytest

from tests.pareto.cli.conftest import Invoke
from tests.pareto.home import NAME, TINY, Home
from tests.pareto.program import run

TOLD = ("told by Python", "told by the system")
NET = f"""
import os

from torch import nn


class Talkative(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.inner = nn.Linear(64, classes)

    def forward(self, images):
        print({TOLD[0]!r}, flush=True)
        os.write(1, b"{TOLD[1]}\\n")
        return self.inner(images.flatten(1))
"""


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a search of such a model. Not to be changed by others."""
    home = Home.new(tmp_path_factory.mktemp("talkative"))
    (home.folder / "net.py").write_text(NET)
    (home.folder / "tiny.toml").write_text(TINY.replace("small-cnn", "net.py:Talkative"))
    words = ("--study", "tiny.toml", "--budget", "2", "--workers", "2", "--format", "json")
    ending = run(home.folder, *words, "--quiet")
    assert ending.code == 0
    assert len(json.loads(ending.out)["trials"]) == 2
    assert all(told in ending.err for told in TOLD)
    return home


@pytest.mark.parametrize(
    "words",
    [
        ("validate", "--trial", "0", "--repeats", "1"),
        ("apply", "--trial", "0", "--forget", "request.txt"),
        ("compare", "--study", NAME, "--method", "ga", "--repeats", "1"),
    ],
)
def test_every_command_that_runs_a_model_keeps_to_results(
    talkative: Home, invoke: Invoke, words: tuple[str, ...]
) -> None:
    (talkative.folder / "request.txt").write_text("3\n4\n5\n")
    ending = invoke(talkative.folder, *words, "--format", "json", "--quiet")
    assert ending.code == 0
    json.loads(ending.out)
    assert TOLD[0] in ending.err


def test_what_is_printed_afterwards_goes_where_it_went_before(
    talkative: Home, invoke: Invoke
) -> None:
    before = os.fstat(1)
    ending = invoke(talkative.folder, "--study", NAME, "--budget", "2")
    assert ending.out.startswith(f"{NAME}: ")
    assert not any(told in ending.out for told in TOLD)
    assert os.path.samestat(before, os.fstat(1))
