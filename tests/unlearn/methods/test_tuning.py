"""What FT and GA share: both train the pruned original on, on one part of its samples."""

import copy
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from unlearn.datasets import Samples
from unlearn.methods import METHODS
from unlearn.methods._tuning import TuningConfig
from unlearn.problem import Problem, Unlearned
from unlearn.pruning import prune
from unlearn.stopwatch import Stopwatch, Work

TRAINED_ON = {"ft": "retain", "ga": "forget"}
tuners = pytest.mark.parametrize("name", TRAINED_ON)


def small(name: str, **changes: Any) -> TuningConfig:
    base = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01, "weight_decay": 5e-4}
    config: TuningConfig = METHODS[name].config(**{**base, **changes})
    return config


def run(
    name: str, problem: Problem, config: TuningConfig | None = None, seed: int = 0
) -> tuple[Unlearned, Stopwatch]:
    stopwatch = Stopwatch(problem.device)
    outcome = METHODS[name].unlearn(problem, config or small(name), seed, stopwatch, None)
    return outcome, stopwatch


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize(("name", "sign"), [("ft", 1), ("ga", -1)])
def test_two_steps_follow_sgd_down_or_up_the_loss(
    convex: Problem, name: str, sign: int, weight_decay: float
) -> None:
    config = METHODS[name].config(
        epochs=2,
        learning_rate=0.3,
        momentum=0.8,
        weight_decay=weight_decay,
        pruning_rate=1 / 3,
    )
    outcome, _ = run(name, convex, config)

    # Softmax regression, in NumPy.
    samples: Samples = getattr(convex, TRAINED_ON[name])
    x, y = samples.images.flatten(1).double().numpy(), np.eye(3)[samples.labels.numpy()]
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
            velocity += sign * gradient + weight_decay * values
            values -= 0.3 * velocity
    np.testing.assert_allclose(outcome.model.get_parameter("1.weight").detach(), weight, atol=1e-6)
    np.testing.assert_allclose(outcome.model.get_parameter("1.bias").detach(), bias, atol=1e-6)


@tuners
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_without_an_epoch_it_is_the_pruned_original(
    problem: Problem, name: str, rate: float
) -> None:
    config = METHODS[name].config(epochs=0, pruning_rate=rate)
    outcome, stopwatch = run(name, problem, config)
    pruned = copy.deepcopy(problem.original)
    prune(pruned, rate)
    assert_close(outcome.model.state_dict(), pruned.state_dict(), rtol=0, atol=0)
    assert stopwatch.phases["finetune"].work == Work()


@pytest.mark.parametrize(("name", "other"), [("ft", "forget"), ("ga", "retain")])
def test_the_other_samples_are_not_looked_at(problem: Problem, name: str, other: str) -> None:
    hardly_any: Any = {other: getattr(problem, other).take(torch.arange(1))}
    without = replace(problem, **hardly_any)
    ours, theirs = (weights(run(name, each)[0].model) for each in (problem, without))
    assert torch.equal(ours, theirs)


CHANGES: dict[str, Any] = {
    "epochs": 3,
    "learning_rate": 0.03,
    "momentum": 0.5,
    "weight_decay": 0.1,
    "batch_size": 8,
    "pruning_rate": 0.4,
}


@pytest.mark.parametrize(
    ("name", "knob"),
    [(name, field.name) for name in TRAINED_ON for field in fields(METHODS[name].config)],
)
def test_every_knob_changes_the_model(problem: Problem, name: str, knob: str) -> None:
    changed = small(name, **{knob: CHANGES[knob]})
    ours, theirs = (weights(run(name, problem, c)[0].model) for c in (changed, small(name)))
    assert not torch.equal(ours, theirs)


@tuners
def test_the_seed_decides_the_order(problem: Problem, name: str) -> None:
    first, second = (weights(run(name, problem, seed=seed)[0].model) for seed in (1, 2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("name", "size", "steps"),
    [("ft", 150, 10), ("ga", 50, 4)],  # in batches of 16
)
def test_the_work_of_every_phase_is_counted(
    problem: Problem, name: str, size: int, steps: int
) -> None:
    outcome, stopwatch = run(name, problem)
    assert outcome.sizes == {TRAINED_ON[name]: size}
    assert {phase: spent.work for phase, spent in stopwatch.phases.items()} == {
        "prune": Work(1, 0),
        "finetune": Work(2 * steps, 2 * size, 2 * steps),
    }


@tuners
@pytest.mark.parametrize(
    ("knob", "value"),
    [
        *[("epochs", -1), ("learning_rate", 0.0), ("learning_rate", float("inf"))],
        *[("momentum", -0.1), ("momentum", 1.0), ("weight_decay", -1e-4), ("batch_size", 1)],
        *[("pruning_rate", -0.1), ("pruning_rate", 1.0), ("pruning_rate", float("nan"))],
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name: str, knob: str, value: float) -> None:
    with pytest.raises(ValueError, match=knob):
        METHODS[name].config(**{knob: value})


@pytest.mark.parametrize(
    ("name", "epochs", "learning_rate", "weight_decay"),
    [("ft", 10, 1e-2, 5e-4), ("ga", 5, 1e-4, 0.0)],
)
def test_the_default_is_that_of_the_papers_comparison(
    name: str, epochs: int, learning_rate: float, weight_decay: float
) -> None:
    method = METHODS[name]
    config = method.config()
    assert (config.epochs, config.learning_rate) == (epochs, learning_rate)
    assert (config.weight_decay, config.pruning_rate) == (weight_decay, 0.1)
