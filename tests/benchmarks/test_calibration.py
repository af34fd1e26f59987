"""The benchmark of the calibrated runtime: what it compares, and how it is told."""

from pathlib import Path

import pytest
import torch

from benchmarks import calibration
from benchmarks._studies import Case, prepare
from benchmarks.calibration import Run, rows, run_alone, summed_up
from objectives.runtime import UnitTime, UnitTimes
from tests.pareto.home import tiny
from unlearn.stopwatch import Phase, Work

CPU = torch.device("cpu")
WORK = {"train": Work(4, 0), "noise": Work(1, 100)}


def units(train: float, noise: float) -> UnitTimes:
    """Of a calibration that counts so many seconds for the work."""
    return {"train": UnitTime(train / 4, 0.0), "noise": UnitTime(0.0, noise / 100)}


def phases(train: float, noise: float) -> dict[str, Phase]:
    """Of a stopwatch that says so."""
    return {"train": Phase(WORK["train"], train), "noise": Phase(WORK["noise"], noise)}


def run(train: float, noise: float) -> Run:
    """One that took so long, three times over, and is counted as 2 s and 1 s."""
    return summed_up(f"{train:g} s of training", [units(2, 1)] * 3, [phases(train, noise)] * 3)


def test_of_several_rounds_the_fastest_counts() -> None:
    one = summed_up(
        "a run",
        [units(2, 2), units(3, 4), units(9, 1)],
        [phases(2.2, 2.8), phases(1.6, 5.0), phases(9.9, 2.0)],
    )
    by_name = {row.what: row for row in rows("digits", [one])}
    # 4, 7 and 10 s are counted, and 5, 6.6 and 11.9 measured.
    assert by_name["digits: |error|"].median == pytest.approx(20)
    assert by_name["digits: |error| of train"].median == pytest.approx(25)
    assert by_name["digits: |error| of noise"].median == pytest.approx(50)
    assert by_name["digits: |noise| of the stopwatch"].median == pytest.approx(32)
    assert by_name["digits: |noise| of a calibration"].median == pytest.approx(75)


def test_what_shifts_all_prices_alike_is_no_error_of_one_against_another() -> None:
    # All are counted alike, and take 3, 6, and 15 s: a half, the median, is the usual share.
    for calibrations in ([units(2, 1)], [units(2, 1), units(4, 2)]):
        runs = [summed_up("a run", calibrations, [phases(2 * k, k)]) for k in (1, 2, 5)]
        by_name = {row.what: row for row in rows("digits", runs)}
        assert by_name["digits: |error| against each other"].median == pytest.approx(60)
        assert by_name["digits: |error|"].median == pytest.approx(50)


def test_errors_are_those_of_the_calibration_in_percent_of_the_stopwatch() -> None:
    # 3 s are counted for 4, 6, and 2.4 s: that is 25 % and 50 % too few, and 25 % too many.
    runs = [run(2.0, 2.0), run(5.0, 1.0), run(1.6, 0.8)]
    by_name = {row.what: row for row in rows("digits", runs)}
    assert by_name["digits: |error|"].median == pytest.approx(25)
    assert "95th percentile 47.5 %, bias -25.0 %" in by_name["digits: |error|"].notes
    # Of training 2 s for 2, 5 and 1.6; of noise 1 s for 2, 1 and 0.8.
    assert by_name["digits: |error| of train"].median == pytest.approx(25)
    assert by_name["digits: |error| of noise"].median == pytest.approx(25)
    assert "bias +0.0 %" in by_name["digits: |error| of train"].notes
    assert "69.4 % of the time" in by_name["digits: |error| of train"].notes
    furthest = by_name["digits: furthest off, 1"]
    assert furthest.median == pytest.approx(-50)
    assert furthest.notes.startswith("5 s of training: train 2e+03 for 5e+03 ms (4 steps")


def test_configurations_run_with_nothing_precomputed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "ROUNDS", 2)
    runs = run_alone(Case(tiny(), 4), prepare(tiny(), CPU, tmp_path).prepared, CPU)
    for run in runs:
        assert len(run.measured) == 2
        for phases in (*run.counted, *run.measured):
            assert phases.keys() == run.work.keys()
            assert all(seconds > 0 for seconds in phases.values())
    times = [phases["score"] for run in runs for phases in run.measured]
    # What is charged, and not done, would take the same time every time.
    assert len(set(times)) == 4 * 2
