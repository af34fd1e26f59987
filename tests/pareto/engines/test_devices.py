"""Devices by name, and workers on them."""

import pytest
import torch

from pareto.engines.devices import assign_workers, choose_devices
from unlearn.errors import InputError

CPU = torch.device("cpu")
GPUS = [torch.device("cuda", 0), torch.device("cuda", 1)]


def test_the_cpu_is_always_there() -> None:
    assert choose_devices("cpu") == [CPU]


def test_auto_means_the_gpus_or_else_the_cpu() -> None:
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    assert {device.type for device in choose_devices("auto")} == {kind}


@pytest.mark.parametrize("name", ["", "gpu", "CPU", "cpu:0", "cuda:99", "cuda:", "cuda:-1", "mps"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(InputError, match="there is no device") as caught:
        choose_devices(name)
    assert "auto, cpu, cuda" in caught.value.remedy


def test_workers_take_turns_on_the_devices() -> None:
    assert assign_workers(GPUS, 3, "calibrated") == [GPUS[0], GPUS[1], GPUS[0]]


@pytest.mark.parametrize("runtime", ["calibrated", "measured"])
def test_there_is_one_worker_per_gpu_by_default(runtime: str) -> None:
    assert assign_workers(GPUS, None, runtime) == GPUS


def test_a_measured_study_has_one_worker_on_a_cpu_by_default() -> None:
    assert assign_workers([CPU], None, "measured") == [CPU]


def test_measured_runtime_is_not_shared() -> None:
    with pytest.raises(InputError, match="spoil measured runtime") as caught:
        assign_workers([CPU], 2, "measured")
    assert "--workers 1" in caught.value.remedy
