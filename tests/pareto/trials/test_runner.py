"""One trial: the same every time, with all its figures, and never an exception."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch

from objectives.evaluation import Evaluation
from objectives.reference import Reference
from pareto.trials.outcome import Failure, Outcome, Ticket
from pareto.trials.runner import TRIAL_FIGURES, TrialRunner
from tests.pareto.conftest import Tiny
from tests.pareto.home import tiny
from unlearn.methods import Method
from unlearn.problem import Precomputed, Problem, Unlearned
from unlearn.stopwatch import Stopwatch, Work

CPU = torch.device("cpu")
PARAMS = {
    "forget_z1": 1.0,
    "forget_z2": 1.0,
    "retain_z1": 0.8,
    "retain_z2": 0.9,
    "alpha": 2,
    "sigma": 0.5,
    "delta": 1,
}
STOPWATCH = {"wall_seconds", "stopwatch_seconds"}


@pytest.fixture(scope="module")
def run(tiny_study: Tiny) -> Callable[..., Outcome]:
    """Run a ticket with these parameters."""
    runner = TrialRunner(tiny_study.prepared, CPU, tiny_study.unit_times)

    def run(seed: int = 1, **params: Any) -> Outcome:
        result = runner.run(Ticket(0, {**PARAMS, **params}, seed))
        assert isinstance(result, Outcome)
        return result

    return run


@pytest.fixture(scope="module")
def outcome(run: Callable[..., Outcome]) -> Outcome:
    return run()


def counted(outcome: Outcome) -> dict[str, float]:
    """The figures that no stopwatch has a part in."""
    return {name: value for name, value in outcome.metrics.items() if name not in STOPWATCH}


def test_the_same_ticket_has_the_same_figures_bit_for_bit(
    tiny_study: Tiny, outcome: Outcome
) -> None:
    again = TrialRunner(tiny_study.prepared, CPU, tiny_study.unit_times)
    again.run(Ticket(5, {**PARAMS, "alpha": 9}, 77))  # what ran before does not matter
    result = again.run(Ticket(0, PARAMS, 1))
    assert isinstance(result, Outcome)
    assert counted(result) == counted(outcome)


def test_global_random_state_neither_matters_nor_changes(
    run: Callable[..., Outcome], outcome: Outcome
) -> None:
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    assert counted(run()) == counted(outcome)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_seed_decides_noise_and_order(run: Callable[..., Outcome]) -> None:
    figures = {tuple(counted(run(seed=seed)).values()) for seed in range(4)}
    assert len(figures) > 1


def test_frm_is_that_of_the_stored_figures_against_the_reference(
    tiny_study: Tiny, outcome: Outcome
) -> None:
    mean = vars(tiny_study.prepared.reference.mean)
    gaps = [abs(outcome.metrics[name] - mean[name]) / max(mean[name], 1.0) for name in mean]
    assert outcome.metrics["frm"] == pytest.approx(math.exp(-sum(gaps)))


@pytest.mark.parametrize("name", ["fa", "ra", "mia"])
def test_gaps_are_signed_distances_to_the_reference(
    tiny_study: Tiny, outcome: Outcome, name: str
) -> None:
    mean = vars(tiny_study.prepared.reference.mean)
    assert outcome.metrics[f"{name}_gap"] == outcome.metrics[name] - mean[name]


def test_every_trial_has_the_figures_that_a_search_may_aim_at(outcome: Outcome) -> None:
    assert outcome.metrics.keys() >= TRIAL_FIGURES


def test_the_ceiling_is_kept_with_every_trial(tiny_study: Tiny, outcome: Outcome) -> None:
    assert outcome.metrics["ceiling"] == tiny_study.prepared.reference.ceiling


def test_the_sizes_of_both_selections_are_kept(tiny_study: Tiny, outcome: Outcome) -> None:
    assert 0 < outcome.metrics["kept_forget"] <= len(tiny_study.material.partition.forget)
    assert 0 < outcome.metrics["kept_retain"] <= len(tiny_study.material.partition.retain)


def test_how_it_came_about_is_kept(outcome: Outcome) -> None:
    assert outcome.run["seed"] == 1
    assert outcome.run["flags"] == []
    assert outcome.run["host"]
    assert outcome.run["device"].startswith("cpu")
    assert set(outcome.run["versions"]) == {"pareto-search", "torch", "numpy"}


def test_the_cost_is_counted_work_at_the_price_of_the_calibration(
    tiny_study: Tiny, outcome: Outcome
) -> None:
    cost = 0.0
    for name, phase in outcome.run["phases"].items():
        unit, work = tiny_study.unit_times[name], phase["work"]
        cost += work["steps"] * unit.step + work["samples"] * unit.sample
    assert outcome.metrics["rte"] == pytest.approx(cost)


def test_without_a_calibration_the_stopwatch_counts(tiny_study: Tiny) -> None:
    result = TrialRunner(tiny_study.prepared, CPU).run(Ticket(0, PARAMS, 1))
    assert isinstance(result, Outcome)
    assert result.metrics["rte"] == result.metrics["stopwatch_seconds"] > 0


def test_every_epoch_of_the_proxy_is_charged_although_it_is_read_from_disk(
    tiny_study: Tiny, run: Callable[..., Outcome]
) -> None:
    samples = len(tiny_study.material.partition.retain)
    charged = [run(delta=delta).run["phases"]["train"]["work"]["samples"] for delta in range(3)]
    assert charged == [0, samples, 2 * samples]


def test_the_scores_are_charged_although_they_are_read_from_disk(
    tiny_study: Tiny, outcome: Outcome
) -> None:
    everything = len(tiny_study.material.dataset.train)
    assert outcome.run["phases"]["score"]["work"]["samples"] == everything


def test_an_empty_selection_is_flagged(run: Callable[..., Outcome]) -> None:
    empty = run(forget_z1=0.0, forget_z2=0.0, retain_z1=0.0, retain_z2=0.0)
    assert (empty.metrics["kept_forget"], empty.metrics["kept_retain"]) == (0, 0)
    assert empty.run["flags"] == ["empty_selection"]
    assert empty.defect() is None


def test_a_reference_under_one_percent_is_flagged(tiny_study: Tiny) -> None:
    runs = tuple(Evaluation(ta=80.0, fa=0.0, ra=90.0, mia=100.0) for _ in range(3))
    reference = Reference(runs, seconds=1.0)
    prepared = replace(tiny_study.prepared, reference=reference)
    result = TrialRunner(prepared, CPU, tiny_study.unit_times).run(Ticket(0, PARAMS, 1))
    assert isinstance(result, Outcome)
    assert result.run["flags"] == ["degenerate_reference"]


def failure(tiny_study: Tiny, method: Mapping[str, Any], params: Mapping[str, Any]) -> Failure:
    material = replace(tiny_study.material, definition=tiny(method=dict(method)))
    prepared = replace(tiny_study.prepared, material=material)
    result = TrialRunner(prepared, CPU, tiny_study.unit_times).run(Ticket(0, params, 1))
    assert isinstance(result, Failure)
    return result


def test_diverging_parameters_fail_with_the_reason(tiny_study: Tiny) -> None:
    failed = failure(tiny_study, {"learning_rate": 1e30}, PARAMS)
    assert failed.reason == "FloatingPointError: the unlearned model's answers are not finite"
    assert failed.traceback.startswith("Traceback")
    assert not failed.lost


def test_parameters_that_make_no_sense_fail_with_the_field_that_is_wrong(
    tiny_study: Tiny,
) -> None:
    assert "alpha must not be negative" in failure(tiny_study, {}, {**PARAMS, "alpha": -1}).reason


def test_a_reason_is_one_line(tiny_study: Tiny) -> None:
    failed = failure(tiny_study, {}, {**PARAMS, "alpha": "many"})
    assert failed.reason.strip()
    assert len(failed.reason.splitlines()) == 1


class Recorded(NamedTuple):
    """A method that writes down what it is run on, and takes no time otherwise."""

    sizes: list[tuple[int, int]]
    epochs: list[int]

    def unlearn(
        self,
        problem: Problem,
        _config: object,
        _seed: int,
        stopwatch: Stopwatch,
        _precomputed: Precomputed | None,
    ) -> Unlearned:
        self.sizes.append((len(problem.forget), len(problem.retain)))
        self.epochs.append(problem.recipe.epochs)
        with stopwatch.phase("prune", Work(1)):
            return Unlearned(problem.original, {}, sizes={})


@pytest.mark.parametrize("few", [20, 1000])
def test_where_the_stopwatch_counts_a_method_is_run_on_few_samples_before_it_is_timed(
    tiny_study: Tiny, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("pareto.trials.runner.WARM_UP_SAMPLES", {"cpu": few})
    made = {name: Recorded([], []) for name in ("a", "b")}

    def configure(_problem: Problem, params: Mapping[str, Any]) -> tuple[Method, None]:
        name = params["method"]
        return Method(name, type(None), {}, made[name].unlearn), None

    runner = TrialRunner(tiny_study.prepared, CPU, configure=configure)
    for number, name in enumerate("aabab"):
        result = runner.run(Ticket(number, {"method": name}, 1))
        assert isinstance(result, Outcome)
        assert result.run["phases"]["prune"]["work"]["steps"] == 1
    sizes = len(tiny_study.material.partition.forget), len(tiny_study.material.partition.retain)
    first = min(few, sizes[0]), min(few, sizes[1])
    assert made["a"].sizes == [first, sizes, sizes, sizes]
    assert made["b"].sizes == [first, sizes, sizes]
    assert made["b"].epochs == [1, *[tiny_study.material.definition.recipe.epochs] * 2]


def test_warming_up_changes_no_figure(tiny_study: Tiny, outcome: Outcome) -> None:
    prepared = replace(tiny_study.prepared, precomputed=None)
    warmed, calibrated = (
        TrialRunner(prepared, CPU),
        TrialRunner(prepared, CPU, tiny_study.unit_times),
    )
    figures = []
    for runner in (warmed, calibrated):
        result = runner.run(Ticket(0, PARAMS, 1))
        assert isinstance(result, Outcome)
        figures.append({k: v for k, v in counted(result).items() if k != "rte"})
    assert figures[0] == figures[1]
