"""Training a new network: how θ_o, the retrained models and the proxies are made."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.testing import assert_close

from unlearn.datasets import Dataset
from unlearn.models import Normalise
from unlearn.problem import Problem
from unlearn.seeds import derive_seed
from unlearn.training import predict, train_from_scratch


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
