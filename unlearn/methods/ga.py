"""GA, gradient ascent: training on D_f is undone by climbing its loss."""

from dataclasses import dataclass

from torch import Tensor

from unlearn.methods._method import FloatRange, IntRange, Method, Range
from unlearn.methods._tuning import TuningConfig, tune
from unlearn.problem import Precomputed, Problem, Unlearned
from unlearn.stopwatch import Stopwatch
from unlearn.training import cross_entropy


@dataclass(frozen=True)
class GAConfig(TuningConfig):
    """The knobs of GA; defaults are the starting point of the ConMU paper's comparison.

    There is no weight decay unless asked for: it would move θ_o where no loss of D_f tells it to.
    """

    epochs: int = 5
    learning_rate: float = 1e-4
    weight_decay: float = 0.0


# On handwritten digits, 20 epochs at the low end change hardly more than batch statistics, and at
# the high end leave nothing of the model. More data makes more steps: the range goes far down.
SPACE: dict[str, Range] = {
    "epochs": IntRange(1, 20),
    "learning_rate": FloatRange(1e-5, 1e-1, log=True),
}


def unlearn(
    problem: Problem,
    config: GAConfig,
    seed: int,
    stopwatch: Stopwatch,
    precomputed: Precomputed | None = None,
) -> Unlearned:
    """Raise the pruned θ_o's cross-entropy on D_f (Thudi et al. 2022; ConMU's baseline GA).

    That loss has no upper bound, so that too large a step or too many of them lead anywhere, even
    to weights that are not finite; `objectives.evaluation.evaluate` refuses a model that answers
    so.

    Args:
        seed: decides the order of the samples.

    Returns:
        θ_u with the pruned weights at zero; the pruned θ_o itself after 0 epochs.
    """
    del precomputed
    model, masks = tune(problem, problem.forget, config, seed, stopwatch, loss=_ascent)
    return Unlearned(model, masks, sizes={"forget": len(problem.forget)})


def _ascent(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
    """What is to be made small for the mean cross-entropy, in nats, to become large."""
    return -cross_entropy(logits, labels, positions)


METHOD = Method("ga", GAConfig, SPACE, unlearn)
