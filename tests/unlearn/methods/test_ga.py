"""GA."""

import copy
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from objectives.evaluation import EvaluationSets, evaluate
from unlearn.datasets import Samples
from unlearn.methods.ga import METHOD, GAConfig, unlearn
from unlearn.problem import Problem, Unlearned
from unlearn.pruning import prune
from unlearn.stopwatch import Stopwatch, Work
from unlearn.training import predict

SMALL = GAConfig(epochs=2, batch_size=16, learning_rate=0.01)


def run(problem: Problem, config: GAConfig = SMALL, seed: int = 0) -> tuple[Unlearned, Stopwatch]:
    stopwatch = Stopwatch(problem.device)
    return unlearn(problem, config, seed, stopwatch), stopwatch


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def loss_of(model: nn.Module, samples: Samples) -> float:
    return float(F.cross_entropy(predict(model, samples.images).double(), samples.labels))


@pytest.fixture(scope="module")
def convex(problem: Problem) -> Problem:
    """To forget 20 images of six pixels, of a softmax regression; they fit into one batch, so
    that their order is no matter."""
    seeded = torch.Generator().manual_seed(4)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    for parameter in linear.parameters():
        nn.init.normal_(parameter, generator=seeded)
    images = torch.rand(20, 1, 2, 3, generator=seeded)
    forget = Samples(images, torch.randint(3, (20,), generator=seeded))
    return replace(problem, original=linear.eval(), forget=forget)


def test_two_steps_climb_the_loss_of_the_forgotten_samples(convex: Problem) -> None:
    config = GAConfig(epochs=2, learning_rate=0.3, momentum=0.8, pruning_rate=1 / 3)
    outcome, _ = run(convex, config)

    x = convex.forget.images.flatten(1).double().numpy()
    y = np.eye(3)[convex.forget.labels.numpy()]
    weight, bias = (p.detach().double().numpy().copy() for p in convex.original.parameters())
    mask = np.abs(weight) > np.sort(np.abs(weight), axis=None)[5]  # 6 of the 18 go
    weight *= mask
    velocities = [np.zeros_like(weight), np.zeros_like(bias)]
    for _ in range(2):
        powers = np.exp(x @ weight.T + bias)
        error = (powers / powers.sum(axis=1, keepdims=True) - y) / len(x)
        gradients = (mask * (error.T @ x), error.sum(axis=0))
        for values, velocity, gradient in zip((weight, bias), velocities, gradients, strict=True):
            velocity *= 0.8
            velocity += gradient
            values += 0.3 * velocity
    np.testing.assert_allclose(outcome.model.get_parameter("1.weight").detach(), weight, atol=1e-6)
    np.testing.assert_allclose(outcome.model.get_parameter("1.bias").detach(), bias, atol=1e-6)


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
    before = loss_of(run(convex, replace(config, epochs=0))[0].model, convex.forget)
    assert loss_of(run(convex, config)[0].model, convex.forget) > before


def test_the_loss_on_the_forgotten_samples_rises(problem: Problem) -> None:
    before = loss_of(run(problem, replace(SMALL, epochs=0))[0].model, problem.forget)
    after = [
        loss_of(run(problem, replace(SMALL, epochs=epochs))[0].model, problem.forget)
        for epochs in (2, 5)
    ]
    assert before < after[0] < after[1]


def test_divergence_ends_as_an_error(problem: Problem) -> None:
    outcome, _ = run(problem, replace(SMALL, learning_rate=1e38, epochs=5))
    sets = EvaluationSets.build(
        problem.forget,
        problem.retain,
        problem.retain,
        forgotten_class=None,
        whole_class=False,
        seed=0,
    )
    with pytest.raises(FloatingPointError, match="not finite"):
        evaluate(outcome.model, sets, "threshold")


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_without_an_epoch_it_is_the_pruned_original(problem: Problem, rate: float) -> None:
    outcome, stopwatch = run(problem, GAConfig(epochs=0, pruning_rate=rate))
    pruned = copy.deepcopy(problem.original)
    prune(pruned, rate)
    assert_close(outcome.model.state_dict(), pruned.state_dict(), rtol=0, atol=0)
    assert stopwatch.phases["finetune"].work == Work()


def test_the_retained_samples_are_not_looked_at(problem: Problem) -> None:
    without = replace(problem, retain=problem.retain.take(torch.arange(0)))
    assert torch.equal(weights(run(without)[0].model), weights(run(problem)[0].model))


def test_a_single_sample_can_be_forgotten(problem: Problem) -> None:
    one = replace(problem, forget=problem.forget.take(torch.tensor([7])))
    before = loss_of(run(one, replace(SMALL, epochs=0))[0].model, one.forget)
    assert loss_of(run(one, replace(SMALL, learning_rate=0.1))[0].model, one.forget) > before


CHANGES: dict[str, Any] = {
    "epochs": 3,
    "learning_rate": 0.03,
    "momentum": 0.5,
    "weight_decay": 0.1,
    "batch_size": 8,
    "pruning_rate": 0.4,
}


@pytest.mark.parametrize("name", [field.name for field in fields(GAConfig)])
def test_every_knob_changes_the_model(problem: Problem, name: str) -> None:
    changed = replace(SMALL, **{name: CHANGES[name]})
    assert not torch.equal(weights(run(problem, changed)[0].model), weights(run(problem)[0].model))


def test_the_seed_decides_the_order(problem: Problem) -> None:
    first, second = (weights(run(problem, seed=seed)[0].model) for seed in (1, 2))
    assert not torch.equal(first, second)


def test_the_work_of_every_phase_is_counted(problem: Problem) -> None:
    outcome, stopwatch = run(problem)
    assert outcome.sizes == {"forget": 50}
    # Two epochs over 50 samples in batches of 16.
    assert {name: phase.work for name, phase in stopwatch.phases.items()} == {
        "prune": Work(1, 0),
        "finetune": Work(2 * 4, 2 * 50),
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("epochs", -1), ("learning_rate", 0.0), ("learning_rate", float("inf"))],
        *[("momentum", 1.0), ("weight_decay", -1e-4), ("batch_size", 1), ("pruning_rate", 1.0)],
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        GAConfig(**{name: value})  # type: ignore[arg-type]


def test_the_starting_point_is_the_default_with_pruning() -> None:
    config = GAConfig()
    assert (config.epochs, config.learning_rate, config.pruning_rate) == (5, 1e-4, 0.1)
    assert {point.request for point in METHOD.starting_points} == {"random", "class"}
    assert all(GAConfig(**dict(p.params)) == config for p in METHOD.starting_points)  # type: ignore[arg-type]
