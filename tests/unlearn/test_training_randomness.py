"""What is random about training: the order of the samples, augmentation, and dropout."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from tests.unlearn.small import CLASSES, FEATURES, linear, random_samples, seeded
from unlearn.datasets import Samples
from unlearn.training import Recipe, cross_entropy, train


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


def test_dropout_follows_the_seed_and_leaves_the_global_random_state() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(FEATURES, CLASSES))
    # Copies of one sample, so that only dropout depends on the seed.
    recipe = Recipe(epochs=2, learning_rate=0.5, batch_size=40)
    copies = random_samples(1).take(torch.zeros(40, dtype=torch.int64))

    def trained_from(seed: int) -> Tensor:
        trained = copy.deepcopy(model)
        train(trained, copies, recipe, generator=seeded(seed))
        return trained.get_parameter("2.weight").detach()

    before = torch.get_rng_state()
    first = trained_from(1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert torch.equal(trained_from(1), first)
    assert (trained_from(2) - first).abs().max() > 1e-3
