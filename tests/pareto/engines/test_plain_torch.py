"""What a caller has set of torch changes no result, and stays as it is."""

from contextlib import ExitStack
from typing import Any

import pytest
import torch

from pareto.engines.plain_torch import plain_torch
from tests.pareto.conftest import Tiny
from tests.pareto.home import Home
from unlearn.errors import InputError


def settings() -> tuple[Any, ...]:
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
    )


def test_a_search_prepares_and_computes_as_it_always_does(
    tiny_study: Tiny, finished: Home, empty_home: Home
) -> None:
    expected = tiny_study.home.notes()
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        stack.callback(torch.set_default_device, None)
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        stack.enter_context(torch.inference_mode())
        stack.enter_context(torch.autocast("cpu", torch.bfloat16))
        before = settings()
        study = empty_home.search(2)
        assert settings() == before
    notes = empty_home.notes()
    for key in ("original", "fingerprint"):
        assert notes[key] == expected[key]
    for trial, plain in zip(study.trials(), finished.study().trials(), strict=False):
        assert trial.params == plain.params
        assert trial.metrics["ta"] == plain.metrics["ta"]
        assert trial.metrics["frm"] == plain.metrics["frm"]


def test_gradients_are_there_where_the_caller_has_none() -> None:
    with torch.no_grad(), plain_torch():
        assert torch.ones(1, requires_grad=True).mul(2).requires_grad


def test_a_device_that_is_forced_on_every_tensor_is_refused() -> None:
    with (
        pytest.raises(InputError, match="sends all tensors there"),
        torch.device("meta"),
        plain_torch(),
    ):
        pass
    assert torch.get_default_device().type == "cpu"
