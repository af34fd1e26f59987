"""Training side by side: the same models, each kept as soon as it is done, whoever dies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pareto.engines import INTERRUPTED, PoolEngine, SerialEngine
from pareto.errors import EngineError
from pareto.preparation.material import Material
from pareto.preparation.prepared import open_workspace, prepare
from pareto.preparation.trainings import MAX_DEATHS, Training, trained
from pareto.trials.outcome import Failure
from pareto.workspace.artifacts import Workspace
from tests.pareto.conftest import Tiny
from tests.pareto.home import tiny
from unlearn.errors import InputError

CPU = torch.device("cpu")
ALL = [Training(run) for run in (None, 0, 1, 2)]
DEATH = Failure("its worker was ended by SIGKILL", lost=True)
GREEDY = """
import torch
from torch import nn


class Net(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, classes))

    def forward(self, images):
        if self.training and len(images) > 8:
            raise torch.OutOfMemoryError("no room")
        return super().forward(images)
"""


MASKED = """
import torch
from torch import nn


class Net(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, classes))
        self.register_buffer("mask", torch.full((classes, classes), -torch.inf).triu(1))

    def forward(self, images):
        return super().forward(images) @ self.mask.softmax(dim=1)
"""


class Reporting:
    """Workers that report these things first, and then do as they are told."""

    device = CPU

    def __init__(self, *results: object) -> None:
        self._results = list(results)

    def run(self, source: Any, make_runner: Callable[[torch.device], Any]) -> None:
        while self._results:
            source.report(source.next(), self._results.pop(0))
        SerialEngine(CPU).run(source, make_runner)


class Interrupted(SerialEngine):
    """A worker whose user loses patience after the first model."""

    def run(self, source: Any, make_runner: Callable[[torch.device], Any]) -> None:
        train = make_runner(CPU)
        first, second = source.next(), source.next()
        source.report(first, train(first))
        source.report(second, INTERRUPTED)
        raise KeyboardInterrupt


@pytest.fixture
def workspace(tiny_study: Tiny, tmp_path: Path) -> Workspace:
    """Nothing is in it."""
    return open_workspace(tiny_study.material, str(tmp_path), print)


def test_side_by_side_the_same_is_prepared_bit_for_bit(
    tiny_study: Tiny, workspace: Workspace
) -> None:
    material, said = tiny_study.material, list[str]()
    with PoolEngine([CPU, CPU]) as pool:
        prepared = prepare(material, material.search, workspace, pool, said.append)
    assert prepared.fingerprint == tiny_study.prepared.fingerprint
    assert len([text for text in said if "training the original" in text]) == 1
    assert len([text for text in said if "retraining without" in text]) == 3


def test_a_model_that_is_done_is_kept_when_the_rest_is_interrupted(
    tiny_study: Tiny, workspace: Workspace
) -> None:
    material, said = tiny_study.material, list[str]()
    with pytest.raises(KeyboardInterrupt):
        trained(material, ALL, workspace, Interrupted(CPU), print)
    models = trained(material, ALL, workspace, SerialEngine(CPU), said.append)
    assert models.keys() == set(ALL)
    assert said == [
        f"retraining without the forgotten samples, {run} of 3" for run in (1, 2, 3)
    ]  # and not the original, which was


def test_what_a_dead_worker_was_at_is_done_by_another(
    tiny_study: Tiny, workspace: Workspace
) -> None:
    deaths = [DEATH] * (MAX_DEATHS - 1)
    models = trained(tiny_study.material, ALL, workspace, Reporting(*deaths), print)
    assert models.keys() == set(ALL)


@pytest.mark.parametrize(
    ("results", "error", "words"),
    [
        ([DEATH] * MAX_DEATHS, EngineError, "3 times: its worker was ended by SIGKILL"),
        ([InputError("the model fails", "mend it")], InputError, "the model fails"),
    ],
)
def test_what_cannot_be_trained_is_given_up_with_the_reason(
    tiny_study: Tiny,
    workspace: Workspace,
    results: list[object],
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        trained(tiny_study.material, ALL, workspace, Reporting(*results), print)


def test_nothing_more_is_trained_when_one_diverges(workspace: Workspace) -> None:
    material, said = Material.load(tiny(recipe={"learning_rate": 1e30})), list[str]()
    with pytest.raises(InputError, match="the original model gives answers that are not finite"):
        trained(material, ALL, workspace, SerialEngine(CPU), said.append)
    assert said == ["training the original model"]


def test_a_mask_that_is_infinite_is_no_divergence(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MASKED)
    material = Material.load(tiny().model_copy(update={"model": f"{tmp_path}/net.py:Net"}))
    models = trained(material, ALL, workspace, SerialEngine(CPU), print)
    assert models.keys() == set(ALL)


def test_a_model_that_finds_no_memory_is_no_mistake_of_its_code(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(GREEDY)
    material = Material.load(tiny().model_copy(update={"model": f"{tmp_path}/net.py:Net"}))
    with pytest.raises(EngineError, match="training failed: no room"):
        trained(material, ALL, workspace, SerialEngine(CPU), print)
