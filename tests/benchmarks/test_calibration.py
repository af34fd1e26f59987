"""The benchmark of the calibrated runtime: what it compares, and how it is told."""

import os

import pytest
import torch

from benchmarks._studies import Case
from benchmarks.calibration import Run, prepare_anew, rows, run_alone
from objectives.runtime import UnitTime
from pareto.devices import use_one_thread
from tests.pareto.home import tiny
from unlearn.stopwatch import Phase, Work

CPU = torch.device("cpu")
UNITS = {"train": UnitTime(step=0.5, sample=0.0), "noise": UnitTime(step=0.0, sample=0.01)}


def run(train: float, noise: float) -> Run:
    """One of 4 steps, which are counted as 2 s, and of 100 samples, counted as 1 s."""
    phases = {"train": Phase(Work(4, 0), train), "noise": Phase(Work(1, 100), noise)}
    times = [train + noise, 0.9 * (train + noise), 1.2 * (train + noise)]
    return Run(f"{train:g} s of training", phases, times)


def test_errors_are_those_of_the_calibration_in_percent_of_the_stopwatch() -> None:
    # 3 s are counted for 4, 6, and 2.4 s: that is 25 % and 50 % too few, and 25 % too many.
    runs = [run(2.0, 2.0), run(5.0, 1.0), run(1.6, 0.8)]
    by_name = {row.what: row for row in rows("digits", UNITS, runs)}
    assert by_name["digits: |error|"].median == pytest.approx(25)
    assert "95th percentile 47.5 %, bias -25.0 %" in by_name["digits: |error|"].notes
    # Of three times the first one is the median, and the others are 10 % and 20 % away from it.
    assert by_name["digits: |noise| of a run"].median == pytest.approx(10)
    # Of training 2 s for 2, 5 and 1.6; of noise 1 s for 2, 1 and 0.8.
    assert by_name["digits: |error| of train"].median == pytest.approx(25)
    assert by_name["digits: |error| of noise"].median == pytest.approx(25)
    assert "bias +0.0 %" in by_name["digits: |error| of train"].notes
    assert "69.4 % of the time" in by_name["digits: |error| of train"].notes
    furthest = by_name["digits: furthest off, 1"]
    assert furthest.median == pytest.approx(-50)
    assert furthest.notes.startswith("5 s of training: train 2e+03 for 5e+03 ms (4 steps")


def test_a_study_is_calibrated_anew_and_run_with_nothing_precomputed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/nowhere")
    definition = tiny()
    ground = prepare_anew(definition, CPU)
    use_one_thread()
    assert os.environ["XDG_CACHE_HOME"] == "/nowhere"
    assert ground.unit_times is not None
    runs = run_alone(Case(definition, 4), ground, CPU)
    for run in runs:
        assert run.phases.keys() == ground.unit_times.keys()
        assert all(phase.seconds > 0 for phase in run.phases.values())
    times = [run.phases["score"].seconds for run in runs]
    assert len(set(times)) == 4  # what is charged, and not done, takes the same time every time
