"""FT, fine-tuning: θ_o goes on training on D_r alone, and forgets what it no longer sees."""

from dataclasses import dataclass

from unlearn.methods._method import FloatRange, IntRange, Method, Range
from unlearn.methods._tuning import TuningConfig, tune
from unlearn.problem import Precomputed, Problem, Unlearned
from unlearn.stopwatch import Stopwatch


@dataclass(frozen=True)
class FTConfig(TuningConfig):
    """The knobs of FT; defaults are the starting point of the ConMU paper's comparison."""

    epochs: int = 10
    learning_rate: float = 1e-2


# Both ranges are the paper's, for the "naive control" of its Figure 4.
SPACE: dict[str, Range] = {
    "epochs": IntRange(5, 35),
    "learning_rate": FloatRange(1e-4, 1e-1, log=True),
}


def unlearn(
    problem: Problem,
    config: FTConfig,
    seed: int,
    stopwatch: Stopwatch,
    precomputed: Precomputed | None = None,
) -> Unlearned:
    """Fine-tune the pruned θ_o on D_r (Warnecke et al. 2021; ConMU's baseline FT).

    Args:
        seed: decides the order of the samples.

    Returns:
        θ_u with the pruned weights at zero; the pruned θ_o itself after 0 epochs.
    """
    del precomputed
    model, masks = tune(problem, problem.retain, config, seed, stopwatch)
    return Unlearned(model, masks, sizes={"retain": len(problem.retain)})


METHOD = Method("ft", FTConfig, SPACE, unlearn)
