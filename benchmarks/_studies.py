"""What benchmarks run on: studies, prepared as a search does it, and configurations to try."""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import optuna
import torch
from optuna.storages import InMemoryStorage

import studies
from benchmarks._command import Settings
from pareto.engines import SerialEngine
from pareto.ledger import Ledger
from pareto.preparation import groundwork
from pareto.preparation.groundwork import Groundwork
from pareto.preparation.material import Material
from pareto.sampling.space import distributions
from pareto.trials.outcome import Ticket
from studies import Definition


@dataclass(frozen=True)
class Case:
    """What is measured on.

    Attributes:
        trials: how many configurations.
    """

    definition: Definition
    trials: int


def of_images(settings: Settings, model: str, train: int, test: int) -> Definition:
    """A study like `digits` on a part of the images."""
    assert settings.images is not None
    return studies.validate(
        {
            "name": f"{settings.images.name}-{model}",
            "model": model,
            "data": {
                "name": f"folder:{settings.images.absolute()}",
                "train_limit": train,
                "test_limit": test,
            },
            "request": {"kind": "random", "fraction": 0.2},
            # As short as the space's longest proxy allows: how good θ_o is costs no trial time.
            "recipe": {"epochs": 8, "learning_rate": 0.05},
            "objectives": {"attack": "svc", "retrainings": 3},
        },
        "the benchmark's study",
    )


def prepare(definition: Definition, device: torch.device, workspace: Path) -> Groundwork:
    """What a search does before its first trial; what the workspace and this machine remember is
    not done again."""
    material, space = Material.load(definition), distributions(definition.ranges)
    ledger = Ledger.open(
        InMemoryStorage(), definition.model_dump(mode="json"), material.identity(), space, None
    )
    announce = partial(print, file=sys.stderr)
    return groundwork.lay(ledger, SerialEngine(device), material, str(workspace), announce)


def draw_tickets(case: Case) -> list[Ticket]:
    """Configurations from all over the search space, always the same."""
    space = distributions(case.definition.ranges)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [Ticket(n, study.ask(space).params, seed=n) for n in range(case.trials)]
