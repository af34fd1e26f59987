"""What FT, GA and ConMU share: some epochs of SGD that set out from the pruned θ_o."""

import copy
from dataclasses import dataclass, replace

from torch import nn

from unlearn.datasets import Samples
from unlearn.methods._checks import check_knobs, check_training_batch
from unlearn.problem import Problem
from unlearn.pruning import Masks, prune
from unlearn.seeds import generator
from unlearn.stopwatch import Stopwatch, Work
from unlearn.training import Loss, Recipe, cross_entropy, train, work_of_training


@dataclass(frozen=True)
class TuningConfig:
    """How θ_o is pruned and trained on; the learning rate is constant.

    Attributes:
        epochs: passes over the samples; 0 leaves the pruned θ_o.
        learning_rate, momentum, weight_decay, batch_size: of SGD.
        pruning_rate: share of the weights pruned beforehand ("+ OMP"), in [0, 1); 0 is without.

    Raises:
        ValueError: a value makes no sense; it says which.
    """

    epochs: int
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 128
    pruning_rate: float = 0.1

    def __post_init__(self) -> None:
        check_knobs(self, positive=("learning_rate",))
        check_training_batch(self.batch_size)

    @property
    def recipe(self) -> Recipe:
        """The same as the training loop takes it."""
        return Recipe(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
        )


def tune(
    problem: Problem,
    samples: Samples,
    config: TuningConfig,
    seed: int,
    stopwatch: Stopwatch,
    loss: Loss = cross_entropy,
) -> tuple[nn.Module, Masks]:
    """A copy of θ_o, pruned and then trained on `samples` to make `loss` small: all of FT and GA.

    Args:
        seed: decides the order of the samples.

    Returns:
        The model in evaluation mode, and its masks; the pruned weights are zero.
    """
    model = copy.deepcopy(problem.original)
    with stopwatch.phase("prune", Work(steps=1)):
        masks = prune(model, config.pruning_rate)
    fine_tune(model, masks, samples, config, problem, seed, stopwatch, loss)
    return model, masks


def fine_tune(
    model: nn.Module,
    masks: Masks,
    samples: Samples,
    config: TuningConfig,
    problem: Problem,
    seed: int,
    stopwatch: Stopwatch,
    loss: Loss,
    clip_norm: float | None = None,
) -> None:
    """Train a pruned model on, in place, as phase `finetune`; the pruned weights stay zero.

    Args:
        seed: decides the order of the samples.
        clip_norm: the 2-norm that gradients are clipped to.
    """
    recipe = replace(config.recipe, precision=problem.recipe.precision)
    with stopwatch.phase("finetune", work_of_training(model, len(samples), recipe)):
        train(
            model,
            samples,
            recipe,
            generator=generator(seed, "fine-tuning order"),
            loss=loss,
            masks=masks,
            clip_norm=clip_norm,
        )
