"""GA; what it shares with FT is in `test_tuning.py`."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from objectives.evaluation import EvaluationSets, evaluate
from unlearn.methods.ga import GAConfig, unlearn
from unlearn.problem import Problem
from unlearn.stopwatch import Stopwatch
from unlearn.training import predict

SMALL = GAConfig(epochs=2, batch_size=16, learning_rate=0.01)


def loss_after(problem: Problem, config: GAConfig) -> float:
    """On the forgotten samples."""
    model = unlearn(problem, config, 0, Stopwatch(problem.device)).model
    images, labels = problem.forget
    return float(F.cross_entropy(predict(model, images).double(), labels))


@settings(max_examples=40)
@given(
    learning_rate=st.floats(1e-3, 10.0),
    epochs=st.integers(1, 5),
    momentum=st.sampled_from([0.0, 0.9]),
    pruning_rate=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_a_convex_loss_rises_at_any_rate(
    convex: Problem, learning_rate: float, epochs: int, momentum: float, pruning_rate: float
) -> None:
    # f(θ + d) >= f(θ) + ∇f(θ)·d, and all later gradients point ahead as well.
    config = GAConfig(epochs, learning_rate, momentum, pruning_rate=pruning_rate)
    assert loss_after(convex, config) > loss_after(convex, replace(config, epochs=0))


def test_the_loss_on_the_forgotten_samples_rises(problem: Problem) -> None:
    losses = [loss_after(problem, replace(SMALL, epochs=epochs)) for epochs in (0, 2, 5)]
    assert losses[0] < losses[1] < losses[2]


def test_divergence_ends_as_an_error(problem: Problem) -> None:
    config = replace(SMALL, learning_rate=1e38, epochs=5)
    outcome = unlearn(problem, config, 0, Stopwatch(problem.device))
    sets = EvaluationSets.build(
        problem.forget,
        problem.retain,
        problem.retain,
        forgotten_class=None,
        seed=0,
    )
    with pytest.raises(FloatingPointError, match="not finite"):
        evaluate(outcome.model, sets, "threshold")


def test_a_single_sample_can_be_forgotten(problem: Problem) -> None:
    one = replace(problem, forget=problem.forget.take(torch.tensor([7])))
    before = loss_after(one, replace(SMALL, epochs=0))
    assert loss_after(one, replace(SMALL, learning_rate=0.1)) > before
