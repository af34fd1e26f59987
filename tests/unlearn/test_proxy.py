"""The unlearning proxy."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy
from torch import Tensor, nn
from torch.testing import assert_close

from unlearn.problem import Problem
from unlearn.proxy import proxy_divergence, proxy_snapshots, train_proxy, training_work
from unlearn.stopwatch import Stopwatch, Work
from unlearn.training import train_from_scratch

Logits = list[list[float]]
logits = st.lists(
    st.lists(st.floats(-8, 8, width=32), min_size=4, max_size=4), min_size=1, max_size=6
)
temperatures = st.sampled_from([0.5, 1.0, 2.0, 5.0])


def pairs() -> st.SearchStrategy[tuple[Logits, Logits]]:
    """Logits of the student and of the proxy for the same batch."""
    return st.tuples(logits, logits).map(
        lambda both: (both[0][: len(both[1])], both[1][: len(both[0])])
    )


def test_the_work_of_training_counts_the_network_and_the_samples(problem: Problem) -> None:
    # 150 in batches of 32; too few of them for a recording.
    assert training_work(problem, 3) == Work(steps=1, samples=3 * 150, eager=3 * 5)
    assert training_work(problem, 0) == Work(steps=1, samples=0)


@pytest.mark.parametrize("epochs", [0, 2])
def test_the_proxy_is_a_dense_network_trained_on_all_retained_samples(
    problem: Problem, epochs: int
) -> None:
    stopwatch = Stopwatch(problem.device)
    proxy = train_proxy(problem, epochs, 7, stopwatch)
    expected = train_from_scratch(problem.build, problem.retain, problem.recipe, 7, epochs=epochs)
    assert_close(proxy.state_dict(), expected.state_dict(), rtol=0, atol=0)
    assert not proxy.training
    assert stopwatch.phases.keys() == {"train"}
    assert stopwatch.phases["train"].work == training_work(problem, epochs)


def test_snapshots_are_the_proxies_of_0_1_2_and_3_epochs(problem: Problem) -> None:
    snapshots, _ = proxy_snapshots(problem, 3, 7)
    assert len(snapshots) == 4
    for epochs, snapshot in enumerate(snapshots):
        proxy = train_proxy(problem, epochs, 7, Stopwatch(problem.device))
        assert_close(snapshot, dict(proxy.state_dict()), rtol=0, atol=0)


def test_snapshots_are_charged_with_what_the_epochs_took_that_they_stand_for(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A network takes 3 seconds to make, the first five updates, which are an epoch, 10 each, and
    # all others 1.
    clock = 0.0

    def build(seed: int, device: torch.device) -> nn.Module:
        updates = itertools.count()

        def take_time(*_: object) -> None:
            nonlocal clock
            clock += 10 if next(updates) < 5 else 1

        nonlocal clock
        clock += 3
        model = problem.build(seed, device)
        model.register_forward_pre_hook(take_time)
        return model

    monkeypatch.setattr(Stopwatch, "now", lambda _stopwatch: clock)
    build.classes = problem.build.classes  # type: ignore[attr-defined]
    timed = replace(problem, build=build)  # type: ignore[arg-type]
    _, costs = proxy_snapshots(timed, 3, 7)
    assert [cost.work for cost in costs] == [training_work(problem, k) for k in range(4)]
    assert [cost.seconds for cost in costs] == [3, 3 + 50, 3 + 50 + 5, 3 + 50 + 5 + 5]


def test_without_epochs_the_untrained_network_is_the_only_snapshot(problem: Problem) -> None:
    snapshots, costs = proxy_snapshots(problem, 0, 7)
    proxy = train_proxy(problem, 0, 7, Stopwatch(problem.device))
    assert len(snapshots) == 1
    assert_close(snapshots[0], dict(proxy.state_dict()), rtol=0, atol=0)
    assert [cost.work for cost in costs] == [Work(steps=1, samples=0)]


def divergence(student: Logits, proxy: Logits, temperature: float = 1.0) -> Tensor:
    return proxy_divergence(torch.tensor(student), torch.tensor(proxy), temperature)


def test_the_proxy_comes_first() -> None:
    # Probabilities 0.9, 0.1 against 0.5, 0.5.
    certain, even = [[math.log(9.0), 0.0]], [[0.0, 0.0]]
    proxy_certain = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    proxy_even = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert divergence(even, certain).item() == pytest.approx(proxy_certain, rel=1e-5)
    assert divergence(certain, even).item() == pytest.approx(proxy_even, rel=1e-5)


@given(pairs(), temperatures)
def test_the_divergence_is_the_mean_relative_entropy_times_the_squared_temperature(
    pair: tuple[Logits, Logits], temperature: float
) -> None:
    student, proxy = (softmax(np.array(each) / temperature, axis=1) for each in pair)
    expected = temperature**2 * np.mean(entropy(proxy, student, axis=1))
    assert divergence(*pair, temperature).item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@given(pairs(), temperatures)
def test_the_gradient_is_the_difference_of_the_distributions(
    pair: tuple[Logits, Logits], temperature: float
) -> None:
    student = torch.tensor(pair[0], requires_grad=True)
    proxy_divergence(student, torch.tensor(pair[1]), temperature).backward()
    ours, theirs = (softmax(np.array(each) / temperature, axis=1) for each in pair)
    expected = temperature * (ours - theirs) / len(ours)
    assert student.grad is not None
    np.testing.assert_allclose(student.grad.numpy(), expected, atol=1e-5)


def test_no_gradient_reaches_the_proxy() -> None:
    student = torch.tensor([[1.0, 2.0]], requires_grad=True)
    proxy = torch.tensor([[3.0, 1.0]], requires_grad=True)
    proxy_divergence(student, proxy).backward()
    assert student.grad is not None
    assert proxy.grad is None


@given(logits, temperatures)
def test_equal_answers_do_not_diverge(answers: Logits, temperature: float) -> None:
    assert divergence(answers, answers, temperature).item() == pytest.approx(0, abs=1e-5)


def test_certain_answers_have_a_finite_divergence() -> None:
    # In probabilities this would be 1·log(1/0).
    assert divergence([[0.0, 300.0]], [[300.0, 0.0]]).item() == pytest.approx(300)
