"""FT."""

import copy
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from unlearn.datasets import Samples
from unlearn.methods import FloatRange, IntRange
from unlearn.methods.ft import METHOD, FTConfig, unlearn
from unlearn.problem import Problem, Unlearned
from unlearn.pruning import prune
from unlearn.stopwatch import Stopwatch, Work
from unlearn.training import predict

SMALL = FTConfig(epochs=2, batch_size=32)


def run(problem: Problem, config: FTConfig = SMALL, seed: int = 0) -> tuple[Unlearned, Stopwatch]:
    stopwatch = Stopwatch(problem.device)
    return unlearn(problem, config, seed, stopwatch), stopwatch


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_two_steps_follow_sgd_on_the_retained_samples(problem: Problem) -> None:
    # Softmax regression, in NumPy; D_r fits into one batch, so that its order is no matter.
    seeded = torch.Generator().manual_seed(4)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    for parameter in linear.parameters():
        nn.init.normal_(parameter, generator=seeded)
    retain = Samples(
        torch.rand(20, 1, 2, 3, generator=seeded), torch.randint(3, (20,), generator=seeded)
    )
    config = FTConfig(
        epochs=2, learning_rate=0.3, momentum=0.8, weight_decay=0.05, pruning_rate=1 / 3
    )
    outcome, _ = run(replace(problem, original=linear.eval(), retain=retain), config)

    x, y = retain.images.flatten(1).double().numpy(), np.eye(3)[retain.labels.numpy()]
    weight, bias = (p.detach().double().numpy().copy() for p in linear.parameters())
    mask = np.abs(weight) > np.sort(np.abs(weight), axis=None)[5]  # 6 of the 18 go
    weight *= mask
    velocities = [np.zeros_like(weight), np.zeros_like(bias)]
    for _ in range(2):
        powers = np.exp(x @ weight.T + bias)
        error = (powers / powers.sum(axis=1, keepdims=True) - y) / len(x)
        gradients = (mask * (error.T @ x), error.sum(axis=0))
        for values, velocity, gradient in zip((weight, bias), velocities, gradients, strict=True):
            velocity *= 0.8
            velocity += gradient + 0.05 * values
            values -= 0.3 * velocity
    np.testing.assert_allclose(outcome.model.get_parameter("1.weight").detach(), weight, atol=1e-6)
    np.testing.assert_allclose(outcome.model.get_parameter("1.bias").detach(), bias, atol=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_without_an_epoch_it_is_the_pruned_original(problem: Problem, rate: float) -> None:
    outcome, stopwatch = run(problem, FTConfig(epochs=0, pruning_rate=rate))
    pruned = copy.deepcopy(problem.original)
    prune(pruned, rate)
    assert_close(outcome.model.state_dict(), pruned.state_dict(), rtol=0, atol=0)
    assert stopwatch.phases["finetune"].work == Work()


def test_it_lowers_the_loss_on_the_retained_samples(problem: Problem) -> None:
    images, labels = problem.retain
    losses = [
        float(F.cross_entropy(predict(run(problem, config)[0].model, images), labels))
        for config in (replace(SMALL, epochs=0), SMALL)
    ]
    assert losses[1] < losses[0]


def test_the_forgotten_samples_are_not_looked_at(problem: Problem) -> None:
    without = replace(problem, forget=problem.forget.take(torch.arange(0)))
    assert torch.equal(weights(run(without)[0].model), weights(run(problem)[0].model))


CHANGES: dict[str, Any] = {
    "epochs": 3,
    "learning_rate": 0.03,
    "momentum": 0.5,
    "weight_decay": 0.1,
    "batch_size": 16,
    "pruning_rate": 0.4,
}


@pytest.mark.parametrize("name", [field.name for field in fields(FTConfig)])
def test_every_knob_changes_the_model(problem: Problem, name: str) -> None:
    changed = replace(SMALL, **{name: CHANGES[name]})
    assert not torch.equal(weights(run(problem, changed)[0].model), weights(run(problem)[0].model))


def test_the_seed_decides_the_order(problem: Problem) -> None:
    first, second = (weights(run(problem, seed=seed)[0].model) for seed in (1, 2))
    assert not torch.equal(first, second)


def test_the_work_of_every_phase_is_counted(problem: Problem) -> None:
    outcome, stopwatch = run(problem)
    assert outcome.sizes == {"retain": 150}
    # Two epochs over 150 samples in batches of 32.
    assert {name: phase.work for name, phase in stopwatch.phases.items()} == {
        "prune": Work(1, 0),
        "finetune": Work(2 * 5, 2 * 150),
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("epochs", -1), ("learning_rate", 0.0), ("learning_rate", float("inf"))],
        *[("momentum", -0.1), ("momentum", 1.0), ("weight_decay", -1e-4), ("batch_size", 1)],
        *[("pruning_rate", -0.1), ("pruning_rate", 1.0), ("pruning_rate", float("nan"))],
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        FTConfig(**{name: value})  # type: ignore[arg-type]


def test_it_is_searched_like_the_papers_naive_control() -> None:
    assert METHOD.space == {
        "epochs": IntRange(5, 35),
        "learning_rate": FloatRange(1e-4, 1e-1, log=True),
    }


def test_the_starting_point_is_the_default_with_pruning() -> None:
    config = FTConfig()
    assert (config.epochs, config.learning_rate, config.pruning_rate) == (10, 1e-2, 0.1)
    assert {point.request for point in METHOD.starting_points} == {"random", "class"}
    assert all(FTConfig(**dict(p.params)) == config for p in METHOD.starting_points)  # type: ignore[arg-type]
