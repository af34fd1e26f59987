"""The training loop: its steps, its schedule, and what it leaves as it is."""

import copy
import itertools
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from tests.unlearn.small import (
    CLASSES,
    FEATURES,
    linear,
    random_samples,
    seeded,
    with_batch_norm,
)
from unlearn.datasets import Samples
from unlearn.pruning import prune
from unlearn.stopwatch import Work
from unlearn.training import (
    EVALUATION_PIXELS,
    Recipe,
    batch_bounds,
    predict,
    train,
    work_of_training,
)

Matrix = NDArray[np.float64]


@given(st.integers(0, 2000), st.integers(2, 300))
def test_batches_cover_every_sample_once_and_in_order(samples: int, batch_size: int) -> None:
    bounds = batch_bounds(samples, batch_size)
    covered = [position for start, end in bounds for position in range(start, end)]
    assert covered == list(range(samples))


@given(st.integers(0, 2000), st.integers(2, 300))
def test_no_batch_has_one_sample_unless_there_is_but_one(samples: int, batch_size: int) -> None:
    sizes = [end - start for start, end in batch_bounds(samples, batch_size)]
    assert 1 not in sizes or samples == 1
    assert all(size <= batch_size + 1 for size in sizes)
    assert all(size == batch_size for size in sizes[:-1])


@given(st.integers(0, 2000), st.integers(2, 300))
def test_steps_are_counted_by_batches(samples: int, batch_size: int) -> None:
    recipe = Recipe(epochs=1, learning_rate=0.1, batch_size=batch_size)
    full, rest = divmod(samples, batch_size)
    expected = full + (rest > 1 or samples == 1)
    assert work_of_training(linear(), samples, recipe).steps == expected


@pytest.mark.parametrize(
    ("samples", "epochs", "stopped", "work"),
    [
        # 7 whole batches and one of 104: three whole ones are eager, and the small ones.
        (1000, 5, 5, Work(40, 5000, 3 + 5, 1)),
        (1000, 5, 1, Work(8, 1000, 3 + 1, 1)),
        (1000, 5, 0, Work()),
        (896, 5, 5, Work(35, 4480, 3, 1)),
        # 3 × 5 whole batches and, without small ones, 3 × 7: too few to record one, and enough.
        (384, 5, 5, Work(15, 1920, 15)),
        (384, 7, 7, Work(21, 2688, 3, 1)),
        (384, 7, 1, Work(3, 384, 3, 0)),
        # The last batch has 129.
        (257, 20, 20, Work(40, 5140, 3 + 20, 1)),
        (1, 20, 20, Work(20, 20, 20)),
        (0, 20, 20, Work()),
    ],
)
def test_updates_that_are_not_replayed_are_counted(
    samples: int, epochs: int, stopped: int, work: Work
) -> None:
    recipe = Recipe(epochs=epochs, learning_rate=0.1, batch_size=128)
    assert work_of_training(linear(), samples, recipe, stopped) == work


def test_all_updates_of_a_network_that_is_not_recorded_are_eager() -> None:
    model = linear()
    model.register_forward_hook(lambda *_: None)
    recipe = Recipe(epochs=5, learning_rate=0.1, batch_size=128)
    assert work_of_training(model, 1000, recipe) == Work(40, 5000, 40)


def numpy_sgd(samples: Samples, model: nn.Sequential, recipe: Recipe) -> tuple[Matrix, Matrix]:
    """Weight and bias of softmax regression after full-batch SGD, in double precision."""
    x = samples.images.flatten(1).double().numpy()
    onehot = np.eye(CLASSES)[samples.labels.numpy()]
    parameters = [p.detach().double().numpy().copy() for p in model.parameters()]
    velocities = [np.zeros_like(p) for p in parameters]
    for _ in range(recipe.epochs):
        weight, bias = parameters
        powers = np.exp(x @ weight.T + bias)
        error = (powers / powers.sum(axis=1, keepdims=True) - onehot) / len(x)
        for parameter, velocity, gradient in zip(
            parameters, velocities, (error.T @ x, error.sum(axis=0)), strict=True
        ):
            velocity *= recipe.momentum
            velocity += gradient + recipe.weight_decay * parameter
            parameter -= recipe.learning_rate * velocity
    return parameters[0], parameters[1]


@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_steps_follow_sgd_with_momentum_and_weight_decay(epochs: int) -> None:
    samples, model = random_samples(20), linear()
    recipe = Recipe(epochs, learning_rate=0.3, momentum=0.8, weight_decay=0.05, batch_size=20)
    weight, bias = numpy_sgd(samples, model, recipe)
    train(model, samples, recipe, generator=seeded())
    np.testing.assert_allclose(model.get_parameter("1.weight").detach(), weight, atol=1e-6)
    np.testing.assert_allclose(model.get_parameter("1.bias").detach(), bias, atol=1e-6)


class WithSkippedLayers(nn.Module):
    """A network that leaves one layer out in its first two steps, and in every third one."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.always, self.sometimes = linear(), nn.Linear(CLASSES, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        self.steps += 1
        answers: Tensor = self.always(images)
        return answers if self.steps <= 2 or self.steps % 3 == 0 else self.sometimes(answers)


class WithSpareWeights(nn.Module):
    """A network of which one layer takes no part, and so has no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = linear(), nn.Linear(2, 2)

    def forward(self, images: Tensor) -> Tensor:
        answers: Tensor = self.used(images)
        return answers


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(
    ("make", "fused", "tolerance"),
    [(WithSpareWeights, True, 0.0), (WithSkippedLayers, False, 1e-6)],
)
def test_steps_are_those_of_torchs_own_optimiser(
    make: Callable[[], nn.Module], fused: bool, tolerance: float, momentum: float
) -> None:
    # torch's fused updates refuse a parameter that has its first gradient later than others.
    samples, model = random_samples(20), make()
    theirs = copy.deepcopy(model)
    optimiser = torch.optim.SGD(
        theirs.parameters(), lr=0.3, momentum=momentum, weight_decay=0.05, fused=fused
    )
    order = seeded()
    for _ in range(9):
        optimiser.zero_grad()
        batch = torch.randperm(20, generator=order)
        F.cross_entropy(theirs(samples.images[batch]), samples.labels[batch]).backward()
        optimiser.step()
    recipe = Recipe(9, learning_rate=0.3, momentum=momentum, weight_decay=0.05, batch_size=20)
    train(model, samples, recipe, generator=seeded())
    assert_close(model.state_dict(), theirs.state_dict(), rtol=tolerance, atol=tolerance)


def test_training_does_not_load_torchs_compiler() -> None:
    # That takes longer than a short training, in every process that trains.
    code = f"from {__name__} import *; import sys;"
    code += "train(linear(), random_samples(9), Recipe(1, 0.1), generator=seeded());"
    code += "print('torch._dynamo' in sys.modules)"
    command = [sys.executable, "-c", code]
    root = Path(__file__).parents[2]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


def test_images_in_bytes_train_like_the_same_in_unit_floats() -> None:
    images = torch.randint(0, 256, (30, 1, 1, FEATURES), generator=seeded())
    labels = random_samples(30).labels
    recipe = Recipe(epochs=2, learning_rate=0.1, batch_size=8)
    models = [linear(), linear()]
    for model, pixels in zip(models, (images.to(torch.uint8), images / 255), strict=True):
        train(model, Samples(pixels, labels), recipe, generator=seeded())
    assert_close(models[0].state_dict(), models[1].state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(1, 1), (3, 7), (20, 4)])
def test_the_cosine_schedule_is_that_of_torch(epochs: int, steps_per_epoch: int) -> None:
    recipe = Recipe(epochs, learning_rate=0.3, schedule="cosine")
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    steps = epochs * steps_per_epoch
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps)
    for step in range(steps):
        expected = optimiser.param_groups[0]["lr"]
        assert recipe.rate_at(step, steps_per_epoch) == pytest.approx(expected, rel=1e-9, abs=1e-12)
        optimiser.step()
        schedule.step()


def test_the_constant_schedule_stays() -> None:
    recipe = Recipe(epochs=3, learning_rate=0.3)
    assert {recipe.rate_at(step, 5) for step in range(15)} == {0.3}


def test_training_follows_the_schedule() -> None:
    # The gradient of the sum of the logits is the same at every step: the weights move by the
    # learning rates.
    model, samples = linear(), random_samples(8)
    before = model.get_parameter("1.bias").detach().clone()
    recipe = Recipe(4, 0.3, momentum=0, weight_decay=0, batch_size=4, schedule="cosine")
    train(model, samples, recipe, generator=seeded(), loss=lambda logits, _l, _p: logits.sum())
    travelled = before - model.get_parameter("1.bias").detach()
    rates = [0.15 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    assert_close(travelled, torch.full((CLASSES,), 4 * sum(rates)))


def test_every_step_is_in_training_mode() -> None:
    model = with_batch_norm().eval()
    modes: list[bool] = []
    for module in model.modules():
        module.register_forward_hook(lambda module, _args, _output: modes.append(module.training))
    recipe = Recipe(epochs=3, learning_rate=0.1, batch_size=10)
    train(model, random_samples(40), recipe, generator=seeded())
    assert modes == [True] * (3 * 4 * len(list(model.modules())))


def test_reading_the_model_between_epochs_does_not_change_the_training() -> None:
    samples, recipe = random_samples(40), Recipe(epochs=3, learning_rate=0.1, batch_size=10)
    left_alone = with_batch_norm()
    read = copy.deepcopy(left_alone)
    train(left_alone, samples, recipe, generator=seeded())

    def look(_epoch: int) -> None:
        predict(read, samples.images)

    train(read, samples, recipe, generator=seeded(), after_epoch=look)
    assert_close(read.state_dict(), left_alone.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("epochs", [0, 2])
def test_the_model_is_left_in_evaluation_mode(epochs: int) -> None:
    model = with_batch_norm()
    train(model, random_samples(20), Recipe(epochs, learning_rate=0.1), generator=seeded())
    assert not any(module.training for module in model.modules())


def test_batch_statistics_move_in_every_epoch() -> None:
    model = with_batch_norm()
    means = [model.get_buffer("2.running_mean").clone()]
    train(
        model,
        random_samples(40),
        Recipe(epochs=4, learning_rate=0.1, batch_size=10),
        generator=seeded(),
        after_epoch=lambda _epoch: means.append(model.get_buffer("2.running_mean").clone()),
    )
    assert len(means) == 5
    assert all(not torch.equal(one, next_) for one, next_ in itertools.pairwise(means))
    assert model.get_buffer("2.num_batches_tracked") == 4 * 4


def test_without_samples_no_step_is_taken() -> None:
    model = with_batch_norm()
    before = copy.deepcopy(model.state_dict())
    train(model, random_samples(0), Recipe(epochs=3, learning_rate=0.1), generator=seeded())
    assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_a_single_sample_is_trained_on_as_if_there_were_two_of_it() -> None:
    sample = random_samples(1)
    twice = Samples(sample.images.repeat(2, 1, 1, 1), sample.labels.repeat(2))
    seen: list[Tensor] = []

    def loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        seen.append(positions)
        return F.cross_entropy(logits, labels)

    recipe = Recipe(epochs=3, learning_rate=0.1)
    models = [with_batch_norm(), with_batch_norm()]
    models[1].load_state_dict(models[0].state_dict())
    train(models[0], sample, recipe, generator=seeded(), loss=loss)
    train(models[1], twice, recipe, generator=seeded())
    assert_close(models[0].state_dict(), models[1].state_dict(), rtol=0, atol=0)
    assert torch.cat(seen).unique().tolist() == [0]
    train(models[0], sample, recipe, generator=seeded(), augmentation=seeded())


def test_large_images_are_evaluated_a_few_at_a_time() -> None:
    pixels: list[int] = []
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, CLASSES))
    model.register_forward_pre_hook(lambda _model, args: pixels.append(args[0].numel()))
    for count, side in ((5, 1200), (2, 2100)):
        predict(model, torch.zeros(count, 1, side, side, dtype=torch.uint8))
    # Of the smaller ones two fit; a single one always does.
    assert pixels == [2 * 1200**2, 2 * 1200**2, 1200**2, 2100**2, 2100**2]
    assert 2 * 1200**2 < EVALUATION_PIXELS < 3 * 1200**2 < 2100**2


def test_epochs_are_reported_in_order() -> None:
    epochs: list[int] = []
    recipe = Recipe(epochs=4, learning_rate=0.1)
    train(linear(), random_samples(9), recipe, generator=seeded(), after_epoch=epochs.append)
    assert epochs == [1, 2, 3, 4]


def masked_model() -> tuple[nn.Sequential, dict[str, Tensor]]:
    model = with_batch_norm()
    return model, prune(model, 0.5)


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_masked_weights_stay_exactly_zero_and_the_others_move(clip_norm: float | None) -> None:
    model, masks = masked_model()
    before = copy.deepcopy(model.state_dict())
    recipe = Recipe(epochs=20, learning_rate=0.1, momentum=0.9, weight_decay=0.01, batch_size=8)
    train(model, random_samples(40), recipe, generator=seeded(), masks=masks, clip_norm=clip_norm)
    for name, mask in masks.items():
        weight = model.get_parameter(name)
        assert torch.equal(weight != 0, mask.bool())
        assert (weight != before[name])[mask.bool()].all()


def test_masks_stand_for_training_the_remaining_weights_alone() -> None:
    # Dropping a pixel from every image is the same as masking its weights.
    samples, model = random_samples(20), linear()
    mask = torch.ones(CLASSES, FEATURES)
    mask[:, 2] = 0
    with torch.no_grad():
        model.get_parameter("1.weight").mul_(mask)
    without = copy.deepcopy(model)
    blank = samples.images.clone()
    blank[..., 2] = 0
    recipe = Recipe(epochs=3, learning_rate=0.2, momentum=0.9, weight_decay=0.01, batch_size=7)
    train(model, samples, recipe, generator=seeded(), masks={"1.weight": mask})
    train(without, Samples(blank, samples.labels), recipe, generator=seeded())
    assert_close(model.state_dict(), without.state_dict())


def one_step(clip_norm: float | None) -> Tensor:
    """How far one plain step with learning rate 1 moves the weights: minus the gradient."""
    model = linear()
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    recipe = Recipe(1, learning_rate=1.0, momentum=0, weight_decay=0, batch_size=20)
    train(model, random_samples(20), recipe, generator=seeded(), clip_norm=clip_norm)
    return torch.cat([p.detach().flatten() for p in model.parameters()]) - before


def test_a_long_gradient_is_clipped_to_the_norm_and_keeps_its_direction() -> None:
    free, clipped = one_step(None), one_step(0.05)
    assert free.norm() > 0.05
    assert_close(clipped, free / free.norm() * 0.05)


def test_a_short_gradient_is_not_clipped() -> None:
    assert torch.equal(one_step(1e3), one_step(None))


def test_frozen_parameters_stay() -> None:
    model = linear()
    model.get_parameter("1.weight").requires_grad_(False)
    before = model.get_parameter("1.weight").clone()
    recipe = Recipe(epochs=2, learning_rate=0.1)
    train(model, random_samples(20), recipe, generator=seeded())
    assert torch.equal(model.get_parameter("1.weight"), before)
