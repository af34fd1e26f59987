"""Retraining from scratch on D_r: the gold standard that the others are measured against."""

import copy
from dataclasses import dataclass, replace

from unlearn.methods._checks import check_knobs
from unlearn.methods._method import FloatRange, Method, Range
from unlearn.problem import Precomputed, Problem, Unlearned
from unlearn.proxy import training_work
from unlearn.pruning import prune
from unlearn.stopwatch import Stopwatch, Work
from unlearn.training import train_from_scratch


@dataclass(frozen=True)
class RetrainConfig:
    """The knobs of retraining; with the defaults it is the gold standard itself.

    Attributes:
        share: of the epochs of θ_o's recipe, in (0, 1]; rounded, but at least 1. The schedule
            shrinks with them, so that a short training ends as calm as a long one.
        pruning_rate: share of the weights pruned ("+ OMP"), in [0, 1); 0 is without.
    """

    share: float = 1.0
    pruning_rate: float = 0.0

    def __post_init__(self) -> None:
        check_knobs(self, positive=("share",))
        if self.share > 1:
            raise ValueError("share must be 1 at most")


SPACE: dict[str, Range] = {"share": FloatRange(0.1, 1.0)}


def unlearn(
    problem: Problem,
    config: RetrainConfig,
    seed: int,
    stopwatch: Stopwatch,
    precomputed: Precomputed | None = None,
) -> Unlearned:
    """Train a new network on D_r with θ_o's recipe, or with a share of its epochs.

    Args:
        seed: decides initialisation, order and augmentation.

    Returns:
        θ_u; the weights that pruning takes from θ_o are zero in it, from its initialisation on.
    """
    del precomputed
    original = copy.deepcopy(problem.original)
    with stopwatch.phase("prune", Work(steps=1)):
        masks = prune(original, config.pruning_rate)
    epochs = max(1, round(config.share * problem.recipe.epochs))
    problem = replace(problem, recipe=replace(problem.recipe, epochs=epochs))
    with stopwatch.phase("train", training_work(problem, epochs)):
        model = train_from_scratch(problem.build, problem.retain, problem.recipe, seed, masks=masks)
    return Unlearned(model, masks, sizes={"retain": len(problem.retain)})


METHOD = Method("retrain", RetrainConfig, SPACE, unlearn)
