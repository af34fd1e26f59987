"""Retraining from scratch."""

from torch.testing import assert_close

from unlearn.methods.retrain import RetrainConfig, unlearn
from unlearn.problem import Problem
from unlearn.stopwatch import Stopwatch, Work
from unlearn.training import train_from_scratch


def test_it_is_training_from_scratch_on_the_retained_samples(problem: Problem) -> None:
    outcome = unlearn(problem, RetrainConfig(), 5, Stopwatch(problem.device))
    expected = train_from_scratch(problem.build, problem.retain, problem.recipe, 5)
    assert_close(outcome.model.state_dict(), expected.state_dict(), rtol=0, atol=0)


def test_it_is_dense_and_has_seen_every_retained_sample(problem: Problem) -> None:
    outcome = unlearn(problem, RetrainConfig(), 5, Stopwatch(problem.device))
    assert outcome.masks == {}
    assert outcome.sizes == {"retain": 150}
    assert outcome.flags == ()


def test_its_cost_is_one_training(problem: Problem) -> None:
    stopwatch = Stopwatch(problem.device)
    unlearn(problem, RetrainConfig(), 5, stopwatch)
    # Three epochs over 150 samples in batches of 32.
    assert stopwatch.phases.keys() == {"train"}
    assert stopwatch.phases["train"].work == Work(steps=15, samples=450)
