"""The training loop."""

import copy
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.testing import assert_close

from unlearn.datasets import Dataset, Samples
from unlearn.models import Normalise
from unlearn.problem import Problem
from unlearn.pruning import prune
from unlearn.seeds import derive_seed
from unlearn.training import (
    EVALUATION_BATCH,
    Recipe,
    batch_bounds,
    cross_entropy,
    predict,
    train,
    train_from_scratch,
)

Matrix = NDArray[np.float64]
FEATURES, CLASSES = 6, 3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_samples(count: int) -> Samples:
    """Images of FEATURES pixels in a row, with random labels."""
    images = torch.rand(count, 1, 1, FEATURES, generator=seeded(1))
    return Samples(images, torch.randint(0, CLASSES, (count,), generator=seeded(2)))


def linear() -> nn.Sequential:
    model = nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, CLASSES))
    for parameter in model.parameters():
        nn.init.normal_(parameter, generator=seeded(3))
    return model


def with_batch_norm() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Linear(8, CLASSES)
    )


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
    assert recipe.steps_per_epoch(samples) == expected


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


def recorded_orders(epochs: int, generator: torch.Generator) -> list[list[int]]:
    """The positions that each epoch of a training on 23 samples went through."""
    seen: list[int] = []
    samples = random_samples(23)

    def loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        assert torch.equal(labels, samples.labels[positions])
        seen.extend(positions.tolist())
        return cross_entropy(logits, labels, positions)

    recipe = Recipe(epochs, learning_rate=0.1, batch_size=5)
    train(linear(), samples, recipe, generator=generator, loss=loss)
    return [seen[start : start + 23] for start in range(0, len(seen), 23)]


def test_every_epoch_goes_through_every_sample_once() -> None:
    assert all(sorted(order) == list(range(23)) for order in recorded_orders(3, seeded()))


def test_every_epoch_is_shuffled_anew() -> None:
    orders = recorded_orders(4, seeded())
    assert len({tuple(order) for order in [*orders, list(range(23))]}) == 5


def test_the_generator_decides_the_order() -> None:
    assert recorded_orders(2, seeded(5)) == recorded_orders(2, seeded(5))
    assert recorded_orders(2, seeded(5)) != recorded_orders(2, seeded(6))


def test_images_come_with_their_positions() -> None:
    samples, model = random_samples(11), linear()
    pairs: list[tuple[Tensor, Tensor]] = []
    inputs: list[Tensor] = []
    model.register_forward_pre_hook(lambda _module, args: inputs.append(args[0]))

    def loss(logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        pairs.append((inputs[-1], positions))
        return cross_entropy(logits, labels, positions)

    recipe = Recipe(epochs=2, learning_rate=0.1, batch_size=4)
    train(model, samples, recipe, generator=seeded(), loss=loss)
    assert len(pairs) == 2 * 3
    assert all(torch.equal(images, samples.images[positions]) for images, positions in pairs)


def test_without_samples_no_step_is_taken() -> None:
    model = with_batch_norm()
    before = copy.deepcopy(model.state_dict())
    train(model, random_samples(0), Recipe(epochs=3, learning_rate=0.1), generator=seeded())
    assert_close(model.state_dict(), before, rtol=0, atol=0)


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


def test_a_short_training_is_the_beginning_of_a_long_one(problem: Problem) -> None:
    build, samples, recipe = problem.build, problem.forget, problem.recipe
    states: list[dict[str, Tensor]] = []

    def keep(_epoch: int, model: nn.Module) -> None:
        states.append(copy.deepcopy(model.state_dict()))

    train_from_scratch(build, samples, recipe, seed=4, after_epoch=keep)
    assert len(states) == recipe.epochs
    for epochs, state in enumerate(states, start=1):
        short = train_from_scratch(build, samples, recipe, seed=4, epochs=epochs)
        assert_close(short.state_dict(), state, rtol=0, atol=0)


def test_a_training_of_no_epoch_is_a_freshly_built_network(problem: Problem) -> None:
    model = train_from_scratch(problem.build, problem.forget, problem.recipe, seed=4, epochs=0)
    built = problem.build(derive_seed(4, "initialisation"), problem.device)
    assert_close(model.state_dict(), built.state_dict(), rtol=0, atol=0)
    assert not model.training


def trained(problem: Problem, seed: int) -> nn.Module:
    return train_from_scratch(problem.build, problem.forget, problem.recipe, seed)


def test_equal_seeds_train_equal_networks(problem: Problem) -> None:
    first, second = trained(problem, 4), trained(problem, 4)
    assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


def test_the_seed_decides_the_initialisation(problem: Problem) -> None:
    first, second = (
        train_from_scratch(problem.build, problem.forget, problem.recipe, seed, epochs=0)
        for seed in (4, 5)
    )
    assert not first.get_parameter("1.0.weight").equal(second.get_parameter("1.0.weight"))


def test_the_seed_decides_the_order(problem: Problem) -> None:
    def images_shown(seed: int) -> list[bytes]:
        batches: list[Tensor] = []

        def watch(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            if isinstance(module, Normalise):
                batches.append(args[0])

        with register_module_forward_pre_hook(watch):
            trained(problem, seed)
        return [image.numpy().tobytes() for image in torch.cat(batches)]

    first, again, other = (images_shown(seed) for seed in (4, 4, 5))
    assert first == again
    assert first != other
    assert sorted(first) == sorted(other)


def test_training_ignores_and_leaves_the_global_random_state(problem: Problem) -> None:
    before = torch.get_rng_state()
    first = trained(problem, 4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert_close(trained(problem, 4).state_dict(), first.state_dict(), rtol=0, atol=0)


def test_training_learns_the_digits(digits: Dataset, problem: Problem) -> None:
    answers = predict(problem.original, digits.train.images).argmax(dim=1)
    assert (answers == digits.train.labels).double().mean() > 0.8


@pytest.mark.parametrize("count", [0, 1, EVALUATION_BATCH, 2 * EVALUATION_BATCH + 1])
def test_predictions_are_the_answers_in_evaluation_mode(count: int) -> None:
    model, samples = with_batch_norm(), random_samples(count)
    predicted = predict(model, samples.images)
    assert predicted.shape == (count, CLASSES)
    assert_close(predicted, model.eval()(samples.images).detach())


@pytest.mark.parametrize("mode", [True, False])
def test_predicting_restores_the_mode_and_leaves_the_model(mode: bool) -> None:
    model = with_batch_norm().train(mode)
    before = copy.deepcopy(model.state_dict())
    predict(model, random_samples(5).images)
    assert all(module.training is mode for module in model.modules())
    assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_predictions_carry_no_gradient() -> None:
    assert not predict(linear(), random_samples(5).images).requires_grad


def images_trained_on(recipe: Recipe, augmentation: torch.Generator | None) -> list[Tensor]:
    """What a model is shown, batch by batch; image i has i in its middle and is black elsewhere."""
    images = torch.zeros(20, 1, 9, 9)
    images[:, 0, 4, 4] = torch.arange(20) + 1
    model = nn.Sequential(nn.Flatten(), nn.Linear(81, CLASSES))
    shown: list[Tensor] = []
    model.register_forward_pre_hook(lambda _module, args: shown.append(args[0]))
    samples = Samples(images, random_samples(20).labels)
    train(model, samples, recipe, generator=seeded(), augmentation=augmentation)
    return shown


def test_augmented_images_are_moved_anew_in_every_epoch_and_keep_their_order() -> None:
    recipe = Recipe(epochs=3, learning_rate=0.1, batch_size=8)
    plain = torch.cat(images_trained_on(recipe, None))
    moved = torch.cat(images_trained_on(recipe, seeded(7)))
    assert torch.equal(moved.amax(dim=(1, 2, 3)), plain.amax(dim=(1, 2, 3)))
    places = moved.flatten(1).argmax(dim=1)
    order = plain.flatten(1).amax(dim=1).long() - 1
    by_epoch = torch.stack(
        [p[o.argsort()] for p, o in zip(places.split(20), order.split(20), strict=True)]
    )
    assert (by_epoch != by_epoch[0]).any(dim=1).tolist() == [False, True, True]
    assert torch.equal(moved, torch.cat(images_trained_on(recipe, seeded(7))))
    assert not torch.equal(moved, torch.cat(images_trained_on(recipe, seeded(8))))


def test_a_recipe_alone_augments_nothing_that_is_fine_tuned() -> None:
    recipe = Recipe(epochs=1, learning_rate=0.1)
    augmenting = replace(recipe, augment=True)
    for ours, theirs in zip(
        images_trained_on(recipe, None), images_trained_on(augmenting, None), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_training_from_scratch_augments_where_the_recipe_says_so(problem: Problem) -> None:
    plain = problem.recipe
    augmented = replace(plain, augment=True)
    states = [
        train_from_scratch(problem.build, problem.forget, recipe, seed=4).state_dict()
        for recipe in (plain, augmented, augmented)
    ]
    name = "1.0.weight"
    assert torch.equal(states[1][name], states[2][name])
    assert not torch.equal(states[0][name], states[1][name])


def test_an_augmented_training_that_is_short_is_the_beginning_of_a_long_one(
    problem: Problem,
) -> None:
    recipe = replace(problem.recipe, augment=True)
    states: list[dict[str, Tensor]] = []
    train_from_scratch(
        problem.build,
        problem.forget,
        recipe,
        seed=4,
        after_epoch=lambda _epoch, model: states.append(copy.deepcopy(model.state_dict())),
    )
    short = train_from_scratch(problem.build, problem.forget, recipe, seed=4, epochs=1)
    assert_close(short.state_dict(), states[0], rtol=0, atol=0)


def test_dropout_follows_the_seed_and_leaves_the_global_random_state() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(FEATURES, CLASSES))
    # One batch, so that only dropout depends on the seed.
    recipe = Recipe(epochs=2, learning_rate=0.5, batch_size=40)

    def trained_from(seed: int) -> Tensor:
        trained = copy.deepcopy(model)
        train(trained, random_samples(40), recipe, generator=seeded(seed))
        return trained.get_parameter("2.weight").detach()

    before = torch.get_rng_state()
    first = trained_from(1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert torch.equal(trained_from(1), first)
    assert (trained_from(2) - first).abs().max() > 1e-3
