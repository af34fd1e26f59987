"""What the tests of `unlearn` share: a few digits, and a request to forget some."""

import pytest
import torch

from unlearn.datasets import Dataset, load
from unlearn.models import ModelFactory
from unlearn.problem import Problem
from unlearn.requests import RandomRequest, resolve
from unlearn.training import Recipe, train_from_scratch


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """200 digits for training and 100 for testing."""
    return load("digits", seed=0, train_limit=200, test_limit=100)


@pytest.fixture(scope="session")
def problem(digits: Dataset) -> Problem:
    """The request to forget 50 of the 200 digits; tests must not change it."""
    build = ModelFactory.for_data("small-cnn", digits.train, len(digits.classes))
    recipe = Recipe(epochs=3, learning_rate=0.05, batch_size=32, schedule="cosine")
    original = train_from_scratch(build, digits.train, recipe, seed=1)
    parts = resolve(RandomRequest(0.25), digits, seed=2)
    return Problem(
        original=original,
        build=build,
        recipe=recipe,
        forget=digits.train.take(parts.forget),
        retain=digits.train.take(parts.retain),
        device=torch.device("cpu"),
    )
