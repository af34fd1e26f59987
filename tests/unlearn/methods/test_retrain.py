"""Retraining from scratch."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from unlearn.methods import FloatRange
from unlearn.methods.retrain import METHOD, RetrainConfig, unlearn
from unlearn.problem import Problem, Unlearned
from unlearn.pruning import prune
from unlearn.seeds import derive_seed
from unlearn.stopwatch import Stopwatch, Work
from unlearn.training import train_from_scratch


def run(
    problem: Problem, config: RetrainConfig | None = None, seed: int = 5
) -> tuple[Unlearned, Stopwatch]:
    stopwatch = Stopwatch(problem.device)
    return unlearn(problem, config or RetrainConfig(), seed, stopwatch), stopwatch


def test_it_is_training_from_scratch_on_the_retained_samples(problem: Problem) -> None:
    expected = train_from_scratch(problem.build, problem.retain, problem.recipe, 5)
    assert_close(run(problem)[0].model.state_dict(), expected.state_dict(), rtol=0, atol=0)


def test_the_forgotten_samples_are_not_looked_at(problem: Problem) -> None:
    without = replace(problem, forget=problem.forget.take(torch.arange(1)))
    ours, theirs = (run(each)[0].model.state_dict() for each in (problem, without))
    assert_close(ours, theirs, rtol=0, atol=0)


def test_it_is_dense_and_has_seen_every_retained_sample(problem: Problem) -> None:
    outcome, _ = run(problem)
    assert all(mask.all() for mask in outcome.masks.values())
    assert outcome.sizes == {"retain": 150}
    assert outcome.flags == ()


@pytest.mark.parametrize(
    ("share", "epochs"), [(1.0, 3), (0.9, 3), (0.8, 2), (0.6, 2), (0.4, 1), (0.1, 1), (0.01, 1)]
)
def test_a_share_shortens_the_work(problem: Problem, share: float, epochs: int) -> None:
    _, stopwatch = run(problem, RetrainConfig(share=share))
    # So many of three epochs, over 150 samples in batches of 32.
    assert {name: phase.work for name, phase in stopwatch.phases.items()} == {
        "prune": Work(1, 0),
        "train": Work(1, epochs * 150, epochs * 5),
    }


def test_a_short_training_has_the_whole_schedule(problem: Problem) -> None:
    short = replace(problem.recipe, epochs=2)
    outcome, _ = run(problem, RetrainConfig(share=0.6))
    expected = train_from_scratch(problem.build, problem.retain, short, 5)
    cut_off = train_from_scratch(problem.build, problem.retain, problem.recipe, 5, epochs=2)
    assert_close(outcome.model.state_dict(), expected.state_dict(), rtol=0, atol=0)
    weights = (model.get_parameter("1.0.weight") for model in (outcome.model, cut_off))
    assert not torch.equal(*weights)


def test_it_prunes_the_weights_that_pruning_takes_from_the_original(problem: Problem) -> None:
    pruned = copy.deepcopy(problem.original)
    masks = prune(pruned, 0.4)
    outcome, _ = run(problem, RetrainConfig(pruning_rate=0.4))
    for name, mask in masks.items():
        assert torch.equal(outcome.model.get_parameter(name) != 0, mask.bool())


def test_pruned_weights_are_zero_from_the_initialisation_on(problem: Problem) -> None:
    # With a learning rate of next to nothing, the initialisation is what comes out.
    still = replace(problem, recipe=replace(problem.recipe, learning_rate=1e-30))
    outcome, _ = run(still, RetrainConfig(pruning_rate=0.4))
    initial = problem.build(derive_seed(5, "initialisation"), problem.device)
    assert outcome.masks
    for name, mask in outcome.masks.items():
        assert torch.equal(outcome.model.get_parameter(name), initial.get_parameter(name) * mask)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("share", value) for value in (0.0, -0.1, 1.1, float("nan"), float("inf"))],
        *[("pruning_rate", value) for value in (-0.1, 1.0, float("nan"))],
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        RetrainConfig(**{name: value})


def test_a_search_varies_the_share_and_the_default_is_the_gold_standard() -> None:
    assert METHOD.space == {"share": FloatRange(0.1, 1.0)}
    assert (RetrainConfig().share, RetrainConfig().pruning_rate) == (1.0, 0.0)
