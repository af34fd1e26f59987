"""Unit times, as they are measured for a study."""

import itertools
from dataclasses import replace

import pytest
import torch

from objectives.runtime import UnitTime
from pareto.preparation.calibration import RETRAINING, calibrate, depends_on, unit_times
from pareto.sampling.space import at_fraction
from pareto.trials.outcome import Outcome, Ticket
from pareto.trials.runner import TrialRunner
from tests.pareto.conftest import Tiny
from tests.pareto.home import tiny
from unlearn.stopwatch import Stopwatch

CPU = torch.device("cpu")


def test_a_calibration_prices_every_phase_of_a_trial(tiny_study: Tiny) -> None:
    params = at_fraction(tiny().ranges, 0.5)
    outcome = TrialRunner(tiny_study.prepared, CPU).run(Ticket(0, params, 1))
    assert isinstance(outcome, Outcome)
    assert tiny_study.unit_times.keys() == outcome.run["phases"].keys()


def test_a_calibration_finds_no_negative_and_some_positive_prices(tiny_study: Tiny) -> None:
    units: list[UnitTime] = list(tiny_study.unit_times.values())
    assert all(unit.step >= 0 and unit.sample >= 0 for unit in units)
    assert all(unit.step + unit.sample > 0 for unit in units)


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that ticks whenever it is looked at measures the same every time."""
    clock = itertools.count()
    monkeypatch.setattr(Stopwatch, "now", lambda _stopwatch: float(next(clock)))


@pytest.mark.usefixtures("ticking")
def test_a_calibration_measures_what_trials_share_itself(tiny_study: Tiny) -> None:
    # As if a machine that takes a million seconds had prepared the study.
    precomputed = tiny_study.prepared.precomputed
    assert precomputed is not None
    slow = replace(
        precomputed,
        scoring=replace(precomputed.scoring, seconds=1e6),
        proxy_training=[replace(cost, seconds=1e6) for cost in precomputed.proxy_training],
    )
    units = calibrate(replace(tiny_study.prepared, precomputed=slow), CPU)
    assert units == calibrate(tiny_study.prepared, CPU)
    assert units["score"].price(precomputed.scoring.work) > 0
    assert units["train"].price(precomputed.proxy_training[-1].work) > 0


def test_prices_of_another_space_are_others(tiny_study: Tiny) -> None:
    prepared = tiny_study.prepared
    smaller = replace(tiny_study.material, definition=tiny(space={"delta": {"low": 0, "high": 1}}))
    ours, theirs = (
        depends_on(each, CPU) for each in (prepared, replace(prepared, material=smaller))
    )
    assert {key for key in ours if ours[key] != theirs[key]} == {"space.delta"}


def test_where_no_trial_trains_a_proxy_that_has_no_price(tiny_study: Tiny) -> None:
    never = tiny(space={"delta": {"low": 0, "high": 0}})
    material = replace(tiny_study.material, definition=never)
    train = calibrate(replace(tiny_study.prepared, material=material), CPU)["train"]
    assert train.step > train.sample == 0


@pytest.mark.usefixtures("ticking")
def test_prices_are_told_in_terms_of_a_retraining(tiny_study: Tiny) -> None:
    prepared = tiny_study.prepared
    measured = unit_times(prepared, CPU)
    epoch, epochs = measured.pop(RETRAINING).step, tiny().recipe.epochs
    assert epoch == 1.0  # ticks, of which the clock makes one per epoch
    for price in (epoch * epochs, 3 * epoch * epochs):
        reference = replace(prepared.reference, seconds=price)
        units = calibrate(replace(prepared, reference=reference), CPU)
        assert units.keys() == measured.keys()
        for name, unit in units.items():
            scale = price / (epoch * epochs)
            assert unit.step == pytest.approx(scale * measured[name].step)
            assert unit.sample == pytest.approx(scale * measured[name].sample)
