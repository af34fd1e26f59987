"""Retraining from scratch on D_r: the gold standard that the others are measured against."""

from dataclasses import dataclass

from unlearn.methods._method import Method
from unlearn.problem import Precomputed, Problem, Unlearned
from unlearn.proxy import training_work
from unlearn.stopwatch import Stopwatch
from unlearn.training import train_from_scratch


@dataclass(frozen=True)
class RetrainConfig:
    """Retraining follows θ_o's own recipe and has nothing to configure."""


def unlearn(
    problem: Problem,
    config: RetrainConfig,
    seed: int,
    stopwatch: Stopwatch,
    precomputed: Precomputed | None = None,
) -> Unlearned:
    """Train a new network on D_r with θ_o's recipe."""
    del config, precomputed
    with stopwatch.phase("train", training_work(problem, problem.recipe.epochs)):
        model = train_from_scratch(problem.build, problem.retain, problem.recipe, seed)
    return Unlearned(model, masks={}, sizes={"retain": len(problem.retain)})


METHOD = Method("retrain", RetrainConfig, space={}, starting_points=(), unlearn=unlearn)
