"""Calibrated runtime."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import Linear

from objectives import runtime
from objectives.runtime import (
    ROUNDS,
    UnitTime,
    calibrate,
    calibrated_seconds,
    fit_unit_times,
)
from unlearn.stopwatch import Phase, Stopwatch, Work
from unlearn.training import Recipe, work_of_training

works = st.builds(
    Work, st.integers(0, 10**4), st.integers(0, 10**6), st.integers(0, 10**3), st.integers(0, 9)
)
unit_times = st.builds(
    UnitTime,
    st.floats(1e-5, 1),
    st.floats(1e-7, 1e-2),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([0.0, 2.0]),
)


def test_work_is_priced_per_step_sample_eager_update_and_recording() -> None:
    assert UnitTime(step=0.5, sample=0.01).price(Work(6, 200, 6, 1)) == pytest.approx(3 + 2)
    unit = UnitTime(0.5, 0.01, eager=2.0, recording=7.0)
    assert unit.price(Work(6, 200, 4, 1)) == pytest.approx(3 + 2 + 8 + 7)


@given(unit_times, works, st.floats(0.1, 10))
def test_scaled_prices_are_so_many_times_the_prices(
    unit: UnitTime, work: Work, factor: float
) -> None:
    assert unit.scaled(factor).price(work) == pytest.approx(factor * unit.price(work))


def test_a_request_costs_the_sum_over_its_phases() -> None:
    phases = {"score": Phase(Work(1, 1000), 99.0), "finetune": Phase(Work(20, 500), 99.0)}
    units = {
        "score": UnitTime(0.0, 0.001),
        "finetune": UnitTime(0.1, 0.002),
        "unused": UnitTime(7.0, 7.0),
    }
    assert calibrated_seconds(phases, units) == pytest.approx(1.0 + 2.0 + 1.0)


def test_no_phase_costs_nothing() -> None:
    assert calibrated_seconds({}, {}) == 0


@given(unit_times, unit_times)
def test_known_unit_times_are_recovered(train: UnitTime, score: UnitTime) -> None:
    sizes = [Work(1, 100), Work(5, 100, 3), Work(4, 900, 4), Work(30, 1000, 2), Work(9, 99, 5, 1)]
    units = {"train": train, "score": score}
    observed = {
        name: [Phase(work, unit.price(work)) for work in sizes] for name, unit in units.items()
    }
    fitted = fit_unit_times(observed, replays=True)
    for name, unit in units.items():
        assert fitted[name].step == pytest.approx(unit.step, rel=1e-6, abs=1e-9)
        assert fitted[name].sample == pytest.approx(unit.sample, rel=1e-6, abs=1e-9)
        assert fitted[name].eager == pytest.approx(unit.eager, rel=1e-6, abs=1e-9)
        assert fitted[name].recording == pytest.approx(unit.recording, rel=1e-6, abs=1e-9)


@given(
    st.lists(st.builds(Phase, works, st.floats(0, 1e3).filter(lambda s: s == 0 or s > 1e-7))),
    st.booleans(),
)
def test_unit_times_are_never_negative(phases: list[Phase], replays: bool) -> None:
    unit = fit_unit_times({"train": phases}, replays=replays)["train"]
    assert min(unit.step, unit.sample, unit.eager, unit.recording) >= 0
    assert replays or unit.eager == unit.recording == 0


@pytest.mark.parametrize("recording", [0.004, 0.03, 0.1])
def test_trainings_of_which_a_gpu_replays_a_part_are_priced(recording: float) -> None:
    # In seconds: an update by itself takes 0.002, and 0.00015 where it is replayed.
    def seconds(samples: int, epochs: int) -> float:
        whole, rest = divmod(samples, 128)
        alone = epochs * (rest > 1)
        if epochs * whole < 20:
            return 0.002 * (epochs * whole + alone)
        return 0.002 * (3 + alone) + recording + 0.00015 * (epochs * whole - 3)

    def phase(samples: int, epochs: int = 5) -> Phase:
        recipe = Recipe(epochs, 0.1, batch_size=128)
        return Phase(work_of_training(Linear(1, 1), samples, recipe), seconds(samples, epochs))

    observed = {"finetune": [phase(samples) for samples in (62, 135, 269, 512, 887)]}
    others = [phase(samples) for samples in range(100, 1000, 30)]

    def error(*, replays: bool) -> float:
        unit = fit_unit_times(observed, replays=replays)["finetune"]
        return max(abs(unit.price(each.work) / each.seconds - 1) for each in others)

    assert error(replays=True) < 1e-3
    assert error(replays=False) > 0.3


def test_where_one_time_would_be_negative_the_other_explains_all() -> None:
    slow, quick = Phase(Work(1, 0), 5.0), Phase(Work(1, 2), 1.0)
    unit = fit_unit_times({"train": [slow, quick]})["train"]
    # Of (s/5 - 1)² + (s - 1)², the minimum.
    assert unit.step == pytest.approx(1.2 / 1.04)
    assert unit.sample == 0


@given(st.integers(1, 10**4), st.integers(0, 10**6), st.floats(1e-6, 1e3))
def test_one_observation_is_explained_exactly(steps: int, samples: int, seconds: float) -> None:
    work = Work(steps, samples)
    unit = fit_unit_times({"train": [Phase(work, seconds)]})["train"]
    assert unit.price(work) == pytest.approx(seconds)


def test_relative_errors_count_alike() -> None:
    # Per step, 1 s and 2 s were observed: u = 1.2 makes (u/1 − 1)² + (u/2 − 1)² smallest.
    observed = [Phase(Work(1, 0), 1.0), Phase(Work(1000, 0), 2000.0)]
    assert fit_unit_times({"train": observed})["train"].step == pytest.approx(1.2)


@pytest.mark.parametrize(
    "phases", [[], [Phase(Work(), 3.0)], [Phase(Work(3, 4), 0.0)], [Phase(Work(), 0.0)]]
)
def test_phases_without_work_or_time_say_nothing(phases: list[Phase]) -> None:
    assert fit_unit_times({"train": phases})["train"] == UnitTime(0.0, 0.0)


class Probe:
    """A request whose stopwatch shows one given duration after the other."""

    def __init__(self, work: Work, seconds: list[float], log: list[Work]) -> None:
        self.work, self.seconds, self.log = work, iter(seconds), log

    def __call__(self) -> Stopwatch:
        self.log.append(self.work)
        stopwatch = Stopwatch(torch.device("cpu"))
        stopwatch.charge("train", Phase(self.work, next(self.seconds)))
        return stopwatch


def test_calibration_takes_the_median_of_the_rounds_after_a_warm_up() -> None:
    # 0.5 s per step and 0.01 s per sample, after a slow warm-up and but for odd moments.
    few, many = Work(2, 100), Work(10, 100)
    log: list[Work] = []
    units = calibrate([Probe(few, [60, 9, 2, 2, 1], log), Probe(many, [6, 5, 99, 6], log)])
    assert units["train"].step == pytest.approx(0.5)
    assert units["train"].sample == pytest.approx(0.01)


def test_a_calibration_that_takes_too_long_is_content_with_one_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runtime, "SECONDS", 0.0)
    few, many = Work(2, 100), Work(10, 100)
    log: list[Work] = []
    calibrate([Probe(few, [9.0, 2.0], log), Probe(many, [6.0], log)])
    assert log == [few, few, many]


@pytest.mark.parametrize(
    ("seconds", "rounds"),
    [
        ([(2.0, 6.0)] * 4, 2),
        ([(2.0, 6.0), (2.6, 5.4), (2.0, 6.0), (2.0, 6.0)], 2),
        ([(2.0, 6.0), (2.0, 6.2), (2.0, 6.2), (2.0, 6.2)], 3),
        ([(2.0, 6.0), (2.2, 6.0), (2.0, 6.0), (2.2, 6.0)], ROUNDS),
    ],
)
def test_probes_take_turns_until_two_rounds_agree(
    seconds: list[tuple[float, float]], rounds: int
) -> None:
    few, many = Work(2, 100), Work(10, 100)
    log: list[Work] = []
    of_few, of_many = zip(*seconds, strict=True)
    calibrate([Probe(few, [9.0, *of_few], log), Probe(many, list(of_many), log)])
    assert log == [few, *[few, many] * rounds]
