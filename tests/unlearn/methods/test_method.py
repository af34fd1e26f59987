"""What every method looks like from outside."""

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from unlearn.methods import METHODS, Choice, FloatRange, IntRange, Method
from unlearn.problem import Problem, Unlearned
from unlearn.stopwatch import Stopwatch

methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
PRUNING = {name: m for name, m in METHODS.items() if hasattr(m.config(), "pruning_rate")}
# Beside the defaults: what makes a method quick where nothing depends on it.
QUICK: dict[str, dict[str, Any]] = {"iu": {"gradients": 4}}


def run(method: Method, problem: Problem, seed: int = 0, **changes: Any) -> Unlearned:
    config = method.config(**{**QUICK.get(method.name, {}), **changes})
    return method.unlearn(problem, config, seed, Stopwatch(problem.device), None)


@pytest.mark.parametrize(
    ("span", "inside", "outside"),
    [
        (IntRange(1, 5), [1, 3, 5], [0, 6, 2.5, "3", None]),
        (FloatRange(0.5, 2.0), [0.5, 1, 1.75, 2.0], [0.49, 2.01, "1", None, float("nan")]),
        (Choice((1, "two", 3.5)), [1, "two", 3.5], [2, "three", 3, None]),
    ],
)
def test_a_range_contains_its_ends_and_what_lies_between(
    span: IntRange | FloatRange | Choice, inside: list[object], outside: list[object]
) -> None:
    assert all(value in span for value in inside)
    assert not any(value in span for value in outside)


@methods
def test_a_method_is_registered_under_its_name(method: Method) -> None:
    assert METHODS[method.name] is method


@methods
def test_every_field_of_a_config_has_a_default(method: Method) -> None:
    assert method.config() == method.config()


@methods
def test_a_config_is_frozen(method: Method) -> None:
    config = method.config()
    name = next((field.name for field in fields(config)), "anything")
    with pytest.raises(FrozenInstanceError):
        setattr(config, name, 1)


@methods
def test_the_space_and_the_starting_points_name_fields_of_the_config(method: Method) -> None:
    names = {field.name for field in fields(method.config)}
    assert method.space.keys() <= names
    assert all(point.params.keys() <= names for point in method.starting_points)


@methods
def test_starting_points_lie_in_the_space_and_make_a_config(method: Method) -> None:
    requests = {point.request for point in method.starting_points}
    assert requests in (set(), {"random", "class"})
    for config in (method.config(), *(method.config(**p.params) for p in method.starting_points)):
        assert all(getattr(config, name) in span for name, span in method.space.items())


@methods
def test_an_outcome_is_in_evaluation_mode_and_charged_to_the_stopwatch(
    method: Method, problem: Problem
) -> None:
    stopwatch = Stopwatch(problem.device)
    config = method.config(**QUICK.get(method.name, {}))
    outcome = method.unlearn(problem, config, 0, stopwatch, None)
    assert not any(module.training for module in outcome.model.modules())
    assert stopwatch.seconds > 0


@methods
def test_a_method_leaves_the_problem_as_it_is(method: Method, problem: Problem) -> None:
    before = {name: value.clone() for name, value in problem.original.state_dict().items()}
    copies = replace(
        problem,
        forget=type(problem.forget)(*(t.clone() for t in problem.forget)),
        retain=type(problem.retain)(*(t.clone() for t in problem.retain)),
    )
    run(method, copies)
    after = copies.original.state_dict()
    assert all(after[name].equal(value) for name, value in before.items())
    assert not copies.original.training
    for ours, theirs in ((copies.forget, problem.forget), (copies.retain, problem.retain)):
        assert all(one.equal(other) for one, other in zip(ours, theirs, strict=True))


@methods
def test_equal_seeds_give_equal_models_whatever_the_global_randomness(
    method: Method, problem: Problem
) -> None:
    before = torch.get_rng_state()
    first = run(method, problem, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    second = run(method, problem, seed=5)
    assert_close(first.model.state_dict(), second.model.state_dict(), rtol=0, atol=0)


@methods
def test_the_model_is_a_plain_network(method: Method, problem: Problem) -> None:
    state = run(method, problem).model.state_dict()
    assert state.keys() == problem.original.state_dict().keys()


@pytest.mark.parametrize("method", PRUNING.values(), ids=PRUNING)
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_exactly_the_pruned_weights_are_zero(method: Method, problem: Problem, rate: float) -> None:
    outcome = run(method, problem, pruning_rate=rate)
    total = sum(mask.numel() for mask in outcome.masks.values())
    assert sum(int((mask == 0).sum()) for mask in outcome.masks.values()) == round(rate * total)
    for name, mask in outcome.masks.items():
        assert torch.equal(outcome.model.get_parameter(name) != 0, mask.bool())
