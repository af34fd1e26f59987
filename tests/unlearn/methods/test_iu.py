"""IU."""

import copy
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from unlearn.datasets import Samples
from unlearn.errors import InputError
from unlearn.methods import IntRange, iu
from unlearn.methods.iu import METHOD, IUConfig, gradient, influence, solve_fisher, unlearn
from unlearn.problem import Problem, Unlearned
from unlearn.pruning import prune
from unlearn.seeds import generator
from unlearn.stopwatch import Stopwatch, Work
from unlearn.training import predict

Array = NDArray[np.float64]
SMALL = IUConfig(gradients=6, batch_size=16)


def run(problem: Problem, config: IUConfig = SMALL, seed: int = 0) -> tuple[Unlearned, Stopwatch]:
    stopwatch = Stopwatch(problem.device)
    return unlearn(problem, config, seed, stopwatch), stopwatch


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def per_sample(weight: Array, bias: Array, samples: Samples) -> Array:
    """The gradient of each sample's loss under softmax regression, N×P, in closed form."""
    x = samples.images.flatten(1).double().numpy()
    powers = np.exp(x @ weight.T + bias)
    error = powers / powers.sum(axis=1, keepdims=True) - np.eye(3)[samples.labels.numpy()]
    return np.hstack([(error[:, :, None] * x[:, None, :]).reshape(len(x), -1), error])


def test_it_is_the_formula_with_the_explicit_matrix(convex: Problem) -> None:
    config = IUConfig(scale=0.7, damping=0.02, gradients=9, batch_size=5, pruning_rate=1 / 3)
    outcome, _ = run(convex, config, seed=3)

    weight, bias = (p.detach().double().numpy().copy() for p in convex.original.parameters())
    mask = np.abs(weight) > np.sort(np.abs(weight), axis=None)[5]  # 6 of the 18 go
    weight *= mask
    kept = np.append(mask.ravel(), [True] * 3)
    forget, retain = (
        per_sample(weight, bias, samples) for samples in (convex.forget, convex.retain)
    )
    vector = forget.sum(axis=0) / 50 - 20 / (50 * 30) * retain.sum(axis=0)
    draws = generator(3, "Fisher batches")
    batches = [torch.randint(50, (5,), generator=draws).numpy() for _ in range(9)]
    rows = np.array([np.vstack([forget, retain])[batch].mean(axis=0) for batch in batches])
    rows = rows[:, kept]
    fisher = 0.02 * np.eye(rows.shape[1]) + rows.T @ rows / 9
    expected = np.append(weight.ravel(), bias)
    expected[kept] += 0.7 * np.linalg.solve(fisher, vector[kept])

    np.testing.assert_allclose(weights(outcome.model), expected, atol=1e-5)


@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    damping=st.floats(1e-3, 1e2),
    seed=st.integers(0, 2**31),
)
def test_the_woodbury_identity_solves_the_explicit_system(
    rows: int, columns: int, damping: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    matrix, vector = random.normal(size=(rows, columns)), random.normal(size=columns)
    expected = np.linalg.solve(damping * np.eye(columns) + matrix.T @ matrix / rows, vector)
    ours = solve_fisher(torch.from_numpy(matrix), torch.from_numpy(vector), damping)
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("columns", [1, 3, 7])
def test_the_columns_may_be_taken_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    random = np.random.default_rng(1)
    matrix, vector = random.normal(size=(5, 20)), random.normal(size=20)
    monkeypatch.setattr(iu, "COLUMNS", columns)
    ours = solve_fisher(torch.from_numpy(matrix), torch.from_numpy(vector), 0.1)
    expected = np.linalg.solve(0.1 * np.eye(20) + matrix.T @ matrix / 5, vector)
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_gradients_in_single_precision_are_solved_in_double() -> None:
    # GGᵀ is singular, and so large that single precision would lose the damping beside it.
    random = np.random.default_rng(1)
    matrix = (1e2 * random.normal(size=(12, 4))).astype(np.float32)
    vector = random.normal(size=4)
    ours = solve_fisher(torch.from_numpy(matrix), torch.from_numpy(vector), 1e-3)
    exact = matrix.astype(np.float64)
    expected = np.linalg.solve(1e-3 * np.eye(4) + exact.T @ exact / 12, vector)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


@pytest.mark.parametrize("batch_size", [7, 1000])
def test_the_vector_is_the_weighted_sum_over_both_parts(problem: Problem, batch_size: int) -> None:
    model = copy.deepcopy(problem.original)
    (f, f_labels), (r, r_labels) = problem.forget, problem.retain
    of_forget = F.cross_entropy(model(f / 255), f_labels, reduction="sum") / 200
    of_retain = F.cross_entropy(model(r / 255), r_labels, reduction="sum") * 50 / (200 * 150)
    (of_forget - of_retain).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    expected = torch.cat([g.flatten() for g in gradients if g is not None])
    ours = influence(problem.original, problem.forget, problem.retain, batch_size)
    assert ours.dtype == torch.float64
    assert_close(ours.float(), expected, rtol=1e-3, atol=1e-6)


def test_gradients_are_ordered_like_the_parameters(problem: Problem) -> None:
    model = copy.deepcopy(problem.original)
    F.cross_entropy(model(problem.forget.images / 255), problem.forget.labels).backward()
    parts = gradient(model, problem.forget, "mean").split([p.numel() for p in model.parameters()])
    for parameter, part in zip(model.parameters(), parts, strict=True):
        assert parameter.grad is not None
        assert_close(part.view(parameter.shape), parameter.grad)


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_under_heavy_damping_every_weight_moves_along_its_own_gradient(
    problem: Problem, rate: float
) -> None:
    # H is as good as λI; whatever a weight's place in memory, it gets its own part of a·v/λ.
    config = replace(SMALL, scale=1e9, damping=1e9, pruning_rate=rate)
    outcome, _ = run(problem, config)
    pruned = copy.deepcopy(problem.original)
    masks = prune(pruned, rate)
    v = influence(pruned, problem.forget, problem.retain, 64).float()
    parts = v.split([p.numel() for p in pruned.parameters()])
    for (name, before), part in zip(pruned.named_parameters(), parts, strict=True):
        step = part.view(before.shape) * masks.get(name, torch.ones(()))
        assert_close(outcome.model.get_parameter(name), before + step, rtol=1e-3, atol=1e-5)


def test_the_loss_rises_on_the_forgotten_samples_above_all(problem: Problem) -> None:
    models = [run(problem, replace(SMALL, scale=scale))[0].model for scale in (0.0, 0.01)]
    before, after = (
        [float(F.cross_entropy(predict(m, s.images), s.labels)) for m in models]
        for s in (problem.forget, problem.retain)
    )
    assert before[1] - before[0] > max(0.0, after[1] - after[0])


def test_a_step_of_no_length_leaves_the_pruned_original(problem: Problem) -> None:
    outcome, _ = run(problem, replace(SMALL, scale=0.0))
    pruned = copy.deepcopy(problem.original)
    prune(pruned, 0.1)
    assert_close(outcome.model.state_dict(), pruned.state_dict(), rtol=0, atol=0)


def test_batch_statistics_stay(problem: Problem) -> None:
    outcome, _ = run(problem)
    before, after = dict(problem.original.named_buffers()), dict(outcome.model.named_buffers())
    assert_close(after, before, rtol=0, atol=0)


def test_what_is_frozen_or_unused_stays(convex: Problem) -> None:
    linear = copy.deepcopy(convex.original)
    linear.get_parameter("1.bias").requires_grad_(False)
    linear.register_parameter("unused", nn.Parameter(torch.ones(2)))
    outcome, _ = run(replace(convex, original=linear))
    for name in ("1.bias", "unused"):
        assert torch.equal(outcome.model.get_parameter(name), linear.get_parameter(name))
    moved = outcome.model.get_parameter("1.weight") != linear.get_parameter("1.weight")
    assert moved.any()


def test_a_shared_weight_moves_once_and_stays_pruned(convex: Problem) -> None:
    # An embedding comes first among the names of its weight, and is not what is pruned.
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(3, 6)
            self.linear = nn.Linear(6, 3)
            self.linear.weight = self.embedding.weight

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.linear(images.flatten(1))
            return logits

    tied = replace(convex, original=Tied().eval())
    outcome, _ = run(tied, replace(SMALL, pruning_rate=0.5))
    weight = outcome.model.get_parameter("linear.weight")
    assert weight is outcome.model.get_parameter("embedding.weight")
    assert torch.equal(weight != 0, outcome.masks["linear.weight"].bool())


def test_too_many_gradients_are_refused(problem: Problem) -> None:
    with pytest.raises(InputError, match=r"10{9} gradients of \d+ weights need .* GB"):
        run(problem, replace(SMALL, gradients=10**9))


CHANGES: dict[str, Any] = {
    "scale": 0.4,
    "damping": 0.01,
    "gradients": 7,
    "batch_size": 8,
    "pruning_rate": 0.4,
}


@pytest.mark.parametrize("name", [field.name for field in fields(IUConfig)])
def test_every_knob_changes_the_model(problem: Problem, name: str) -> None:
    changed = replace(SMALL, **{name: CHANGES[name]})
    assert not torch.equal(weights(run(problem, changed)[0].model), weights(run(problem)[0].model))


def test_the_seed_decides_the_mini_batches(problem: Problem) -> None:
    first, second = (weights(run(problem, seed=seed)[0].model) for seed in (1, 2))
    assert not torch.equal(first, second)


def test_the_work_of_every_phase_is_counted(problem: Problem) -> None:
    outcome, stopwatch = run(problem)
    assert outcome.sizes == {"forget": 50, "retain": 150}
    # 50 and 150 samples in batches of 16; six batches of 16; six gradients and their pairs.
    assert {name: phase.work for name, phase in stopwatch.phases.items()} == {
        "prune": Work(1, 0),
        "influence": Work(4 + 10, 200),
        "fisher": Work(6, 6 * 16),
        "invert": Work(6, 36),
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("scale", -0.1), ("scale", float("inf")), ("damping", 0.0), ("damping", float("nan"))],
        *[("gradients", 0), ("batch_size", 0), ("pruning_rate", -0.1), ("pruning_rate", 1.0)],
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        IUConfig(**{name: value})  # type: ignore[arg-type]


def test_the_default_is_that_of_the_papers_comparison() -> None:
    config = IUConfig()
    assert (config.scale, config.pruning_rate) == (0.2, 0.1)
    assert METHOD.space["gradients"] == IntRange(64, 256)
