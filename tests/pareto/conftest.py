"""A study small enough to be searched in seconds; made once, copied by whoever changes it."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import optuna
import pytest
import torch
from optuna.storages import BaseStorage, InMemoryStorage

from objectives.runtime import UnitTime
from pareto.engines import SerialEngine
from pareto.ledger import Ledger
from pareto.preparation import groundwork
from pareto.preparation.material import Material
from pareto.preparation.prepared import Prepared
from tests.pareto import cheap
from tests.pareto.cells import arm
from tests.pareto.home import Home, open_ledger, tiny
from tests.pareto.servers import Servers

TRIALS = 18
"""Of the finished study: TPE proposes from its own model after six starting points and ten more."""

SLOW_EPOCHS = 30
"""Of fine-tuning: a third of a second a trial, or more."""


class Tiny(NamedTuple):
    """The tiny study, prepared: no trial yet."""

    home: Home
    prepared: Prepared
    unit_times: Mapping[str, UnitTime]

    @property
    def material(self) -> Material:
        return self.prepared.material


@pytest.fixture(scope="session", autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Not to be changed."""
    home, material = Home.new(tmp_path_factory.mktemp("prepared")), Material.load(tiny())
    ledger = open_ledger(home.url, material)
    engine = SerialEngine(torch.device("cpu"))
    ground = groundwork.lay(ledger, engine, material, str(home.workspace), print)
    assert ground.unit_times is not None
    return Tiny(home, ground.prepared, ground.unit_times)


@pytest.fixture(scope="session")
def finished(tiny_study: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a finished search of `TRIALS` trials. Not to be changed."""
    home = tiny_study.home.copy(tmp_path_factory.mktemp("finished"))
    home.search(TRIALS)
    return home


@pytest.fixture(scope="session")
def compared(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The same, with a comparison and a sweep of one run each. Not to be changed."""
    home = finished.copy(tmp_path_factory.mktemp("compared"))
    home.experiment("comparison", [arm("ga")], 1)
    home.experiment("sweep", [arm("conmu", epochs=1)], 1)
    return home


@pytest.fixture
def memory() -> BaseStorage:
    return InMemoryStorage()


@pytest.fixture
def ledger(memory: BaseStorage) -> Ledger:
    """That of the cheap study, in `memory`."""
    return cheap.open_ledger(memory)


@pytest.fixture
def home(tiny_study: Tiny, tmp_path: Path) -> Home:
    """A home with a prepared study, to be changed."""
    return tiny_study.home.copy(tmp_path / "home")


@pytest.fixture
def slow_home(tiny_study: Tiny, home: Home) -> Home:
    """A home with a study whose trials take long enough to be caught in the middle."""
    home.begin(tiny(method={"epochs": SLOW_EPOCHS}), tiny_study.home.notes())
    return home


@pytest.fixture
def empty_home(tmp_path: Path) -> Home:
    """A home with a definition and nothing else."""
    return Home.new(tmp_path / "home")
