"""Ray: workers that die, work that goes wrong, and too little room."""

import pickle
import re
import shutil
import time
from collections import Counter
from functools import partial
from math import ceil
from pathlib import Path

import psutil
import pytest
import ray
import torch
from hypothesis import given
from hypothesis import strategies as st
from ray.util import placement_group, remove_placement_group

from pareto.engines._contract import Work
from pareto.engines._ray_call import carry_out
from pareto.engines.ray_tune import MAX_CALLS, RayEngine, _room, connected
from pareto.engines.settings import EngineSettings
from pareto.errors import EngineError
from pareto.trials.outcome import Failure, Outcome
from tests.pareto.conftest import Tiny
from tests.pareto.engines.fakes import ListedTrials, make_no_runner, make_runner
from tests.pareto.engines.works import (
    break_down,
    count_to_three,
    die,
    die_once,
    refuse,
    wait_side_by_side,
    work_side_by_side,
)
from tests.pareto.home import Home
from unlearn.errors import InputError, UserFacingError


def test_workers_that_die_are_replaced_and_their_trials_reported_as_lost(
    ray_engine: RayEngine,
) -> None:
    source = ListedTrials.of("run", "die", "run", "exit", "run")
    ray_engine.run(source, make_runner)
    assert source.reported == [0, 1, 2, 3, 4]
    assert all(isinstance(source.result(number), Outcome) for number in (0, 2, 4))
    for number in (1, 3):
        result = source.result(number)
        assert isinstance(result, Failure)
        assert result.lost
        assert result.reason.startswith("its Ray worker died: ")
        assert "\n" not in result.reason


def test_workers_run_trials_at_the_same_time_and_are_used_again(
    ray_engine: RayEngine, tmp_path: Path
) -> None:
    source = ListedTrials.of(*[f"meet in {tmp_path}"] * 2, *["run"] * 4)
    ray_engine.run(source, make_runner)
    outcomes = [source.result(number) for number in range(6)]
    assert all(isinstance(outcome, Outcome) for outcome in outcomes)
    pids = {outcome.run["pid"] for outcome in outcomes if isinstance(outcome, Outcome)}
    assert len(pids) <= ray_engine.workers


def test_a_worker_that_cannot_start_is_reported_with_the_reason(ray_engine: RayEngine) -> None:
    source = ListedTrials.of("run")
    ray_engine.run(source, make_no_runner)
    result = source.result(0)
    assert isinstance(result, Failure)
    assert result.reason.endswith("RuntimeError: no such device")


def test_a_call_says_how_it_goes_and_returns_what_came_of_it(ray_engine: RayEngine) -> None:
    said: list[str] = []
    assert ray_engine.call(count_to_three, said.append) == "cpu"
    assert said == ["1", "2", "3"]


@pytest.mark.parametrize(("asked_for", "given"), [(1, 1), (8, 2)])
def test_a_call_has_several_workers_if_there_is_room_for_them(
    ray_engine: RayEngine, tmp_path: Path, asked_for: int, given: int
) -> None:
    pids = ray_engine.call(partial(work_side_by_side, str(tmp_path)), print, asked_for)
    assert len(pids) == 2
    assert len(set(pids)) == given


def test_a_call_does_with_one_worker_while_others_hold_the_rest(
    ray_engine: RayEngine, tmp_path: Path
) -> None:
    held = placement_group([{"CPU": 1}])
    try:
        ray.get(held.ready())
        pids = ray_engine.call(partial(work_side_by_side, str(tmp_path)), print, 2)
    finally:
        remove_placement_group(held)
    assert len(pids) == 2
    assert len(set(pids)) == 1


def test_an_interrupt_ends_a_call_and_its_workers(ray_engine: RayEngine, tmp_path: Path) -> None:
    def interrupt_once_both_run(_message: str) -> None:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.05)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ray_engine.call(partial(wait_side_by_side, str(tmp_path)), interrupt_once_both_run, 2)
    pids = [int(file.name) for file in tmp_path.iterdir()]
    alive = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    assert psutil.wait_procs(alive, timeout=10)[1] == []


def test_a_call_whose_worker_dies_is_begun_again(ray_engine: RayEngine, tmp_path: Path) -> None:
    said: list[str] = []
    assert ray_engine.call(partial(die_once, str(tmp_path)), said.append) == "done"
    assert "a Ray worker died" in said[-2]
    assert said[-1] == "at work"


def test_a_call_whose_workers_die_again_and_again_is_given_up(
    ray_engine: RayEngine, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match=f"a Ray worker died, {MAX_CALLS} times: ") as caught:
        ray_engine.call(partial(die, str(tmp_path)), print)
    assert len(list(tmp_path.iterdir())) == MAX_CALLS
    assert "memory" in caught.value.remedy


@pytest.mark.parametrize(
    ("work", "error", "problem", "remedy"),
    [
        (refuse, InputError, "the folder is full", "make space"),
        (break_down, EngineError, "ZeroDivisionError: no reason", "the same version"),
    ],
)
def test_what_goes_wrong_in_a_call_is_raised_here(
    ray_engine: RayEngine,
    work: Work[str],
    error: type[InputError | EngineError],
    problem: str,
    remedy: str,
) -> None:
    with pytest.raises(error, match=problem) as caught:
        ray_engine.call(work, print)
    assert remedy in caught.value.remedy


def raised(devices: list[torch.device], drivers_node: str) -> UserFacingError:
    ((kind, content),) = carry_out(pickle.dumps(refuse), devices, drivers_node)
    assert kind == "raised"
    assert isinstance(content, UserFacingError)
    return content


@pytest.mark.usefixtures("ray_engine")
def test_what_is_wrong_on_another_machine_is_said_with_its_name() -> None:
    here = ray.get_runtime_context().get_node_id()
    assert raised([torch.device("cpu")], here).problem == "the folder is full"
    elsewhere = raised([torch.device("cpu")], "another")
    assert isinstance(elsewhere, InputError)
    assert re.fullmatch(
        r"on the cluster's machine \d+\.\d+\.\d+\.\d+: the folder is full", elsewhere.problem
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch finds the GPU that Ray offers")
def test_gpus_that_ray_offers_and_torch_does_not_find_are_told_of() -> None:
    error = raised([torch.device("cuda", 0)], "another")
    assert isinstance(error, EngineError)
    assert "torch finds none" in error.problem
    assert "--device cpu" in error.remedy


@pytest.mark.usefixtures("ray_engine")
@pytest.mark.parametrize(("cpus", "gpus"), [(1000.0, 0.0), (1.0, 64.0)])
def test_a_trial_that_fits_nowhere_is_refused(cpus: float, gpus: float) -> None:
    with (
        pytest.raises(EngineError, match="no machine of the Ray cluster"),
        connected(None, 1, cpus, gpus),
    ):
        pass


@given(st.integers(0, 9), st.sampled_from([0.1, 0.25, 0.3, 0.4, 0.5, 0.6, 0.9, 1.0, 2.0, 3.0]))
def test_a_machine_has_room_for_trials_whose_share_is_of_one_gpu_each(
    count: int, share: float
) -> None:
    free, room = [1.0] * count, 0
    while (
        taken := [gpu for gpu in range(count) if free[gpu] > min(share, 1) - 1e-9][: ceil(share)]
    ) and len(taken) == ceil(share):  # the next trial is put where there is room
        for gpu in taken:
            free[gpu] -= min(share, 1)
        room += 1
    assert _room({"CPU": 99, "GPU": count}, 1, share) == room
    assert _room({"CPU": 2, "GPU": count}, 1, share) == min(room, 2)
    if room:
        devices = RayEngine(room, room, 1, share, "")._devices(room)
        assert len(devices) == room
        assert max(Counter(devices).values()) * share <= max(share, 1) + 1e-9


@pytest.mark.usefixtures("ray_engine")
@pytest.mark.parametrize(("cpus", "workers"), [(0.5, 4), (1.0, 2), (2.0, 1)])
def test_by_default_there_are_as_many_workers_as_there_is_room_for(
    cpus: float, workers: int
) -> None:
    with connected(None, None, cpus, None) as engine:
        assert engine.workers == workers


@pytest.mark.usefixtures("ray_engine")
def test_measured_runtime_shares_no_device() -> None:
    with EngineSettings(name="ray").opened("measured") as engine:
        assert engine.workers == 1
    with (
        pytest.raises(InputError, match="spoil measured runtime"),
        EngineSettings(name="ray", workers=2).opened("measured"),
    ):
        pass


@pytest.mark.usefixtures("ray_engine")
def test_one_worker_prepares_and_gives_the_same_trials_as_the_local_engine(
    tiny_study: Tiny, tmp_path: Path
) -> None:
    contents: list[list[object]] = []
    said: list[str] = []
    for engine in ("ray", "local"):
        home: Home = tiny_study.home.copy(tmp_path / engine)
        shutil.rmtree(home.workspace)
        study = home.search(18, engine=engine, announce=said.append)
        assert said.count("training the original model") == len(contents) + 1
        assert list(home.workspace.glob("*/original.safetensors"))
        assert len(study.complete()) == 18
        contents.append([(trial.params, trial.values) for trial in study.trials()])
    assert contents[0] == contents[1]
