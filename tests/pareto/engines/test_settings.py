"""What a user may say of the engine, and what contradicts itself."""

import math
from typing import Any

import pytest

from pareto.engines import PoolEngine, SerialEngine
from pareto.engines.settings import EngineSettings
from unlearn.errors import InputError


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"name": "dask"}, "no engine 'dask'"),
        ({"ray_address": "auto"}, "for Ray alone"),
        ({"cpus_per_trial": 1.0}, "for Ray alone"),
        ({"gpus_per_trial": 0.0}, "for Ray alone"),
        ({"name": "ray", "device": "cuda:1"}, "Ray chooses the devices itself"),
        ({"name": "ray", "device": "cpu", "gpus_per_trial": 0.5}, "exclude each other"),
        ({"name": "ray", "gpus_per_trial": 1.5}, "neither a whole number nor a share"),
        ({"name": "ray", "ray_address": "ray://head:10001"}, "address of a Ray client"),
        ({"workers": 0}, "0 workers do nothing"),
        ({"workers": 1.5}, "1.5 workers do nothing"),
        ({"workers": "2"}, "'2' workers do nothing"),
        ({"name": "ray", "cpus_per_trial": math.inf}, "cannot reserve inf"),
        ({"name": "ray", "cpus_per_trial": 0.00005}, "cannot reserve 5e-05"),
        ({"name": "ray", "cpus_per_trial": 0}, "without any CPU"),
        ({"name": "ray", "cpus_per_trial": -1}, "cannot reserve -1"),
        ({"name": "ray", "cpus_per_trial": "2"}, "cannot reserve '2'"),
        ({"name": "ray", "gpus_per_trial": math.nan}, "cannot reserve nan"),
        ({"name": "ray", "gpus_per_trial": 1e-300}, "cannot reserve 1e-300"),
        ({"name": "ray", "ray_address": ""}, "'' is no address"),
        ({"name": "ray", "ray_address": "nonsense"}, "'nonsense' is no address"),
        ({"name": "ray", "ray_address": "http://127.0.0.1:8265"}, "is no address"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    said: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        EngineSettings(**said)
    assert caught.value.remedy


def test_a_device_that_is_not_there_is_told_before_anything_is_started() -> None:
    with pytest.raises(InputError, match="no device 'cuda:99'"):
        EngineSettings(device="cuda:99").check("calibrated")


@pytest.mark.parametrize(("workers", "engine"), [(1, SerialEngine), (3, PoolEngine)])
def test_the_local_engine_has_a_process_per_worker_unless_there_is_one_only(
    workers: int, engine: type[SerialEngine | PoolEngine]
) -> None:
    with EngineSettings(workers=workers, device="cpu").opened("calibrated") as opened:
        assert isinstance(opened, engine)
        assert opened.workers == workers


def test_measured_runtime_shares_no_device() -> None:
    with pytest.raises(InputError, match="spoil measured runtime"):
        EngineSettings(workers=2, device="cpu").check("measured")
