"""Comparisons: who takes part, the table's arithmetic, and what the methods have to show in it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import studies
from pareto.experiments.arms import arm_of_method
from pareto.experiments.comparison import (
    Comparison,
    Row,
    comparison_summary,
    refuse_chosen_by_report,
    tabulate,
)
from pareto.experiments.experiment import Results
from pareto.preparation.material import Material
from studies import Definition
from tests.pareto.cells import arm
from tests.pareto.home import Home, tiny
from unlearn.datasets import Samples
from unlearn.errors import InputError

# --- who takes part

CLEAN = tiny(data={"pixel_noise": 0.0})
"""Its images are the same whatever the seed."""


def seen_by(searched: Definition) -> int:
    """How many of the images that a comparison is scored on a search has chosen by."""

    def pixels(samples: Samples) -> set[bytes]:
        return {image.numpy().tobytes() for image in samples.images}

    scored_on = pixels(Material.load(CLEAN).report)
    return len(scored_on & pixels(Material.load(searched).search))


@pytest.mark.parametrize(
    "searched",
    [CLEAN.model_copy(update={"seed": 8}), tiny(data={"pixel_noise": 0.0, "test_limit": 60})],
    ids=["seed", "test_limit"],
)
def test_what_was_chosen_by_the_data_it_is_scored_on_is_refused(searched: Definition) -> None:
    assert seen_by(searched) > 0
    with pytest.raises(InputError, match="tiny:4 was chosen by") as caught:
        refuse_chosen_by_report(CLEAN, searched, "tiny:4")
    assert "--study tiny" in caught.value.remedy


@pytest.mark.parametrize(
    "searched",
    [
        CLEAN,
        tiny(data={"pixel_noise": 0.0, "train_limit": 60}),
        tiny(data={"pixel_noise": 0.0}, recipe={"epochs": 9}, request={"fraction": 0.5}),
    ],
    ids=["same", "train_limit", "problem"],
)
def test_what_was_chosen_by_the_other_half_takes_part(searched: Definition) -> None:
    assert seen_by(searched) == 0
    refuse_chosen_by_report(CLEAN, searched, "tiny:4")


def test_data_are_the_same_by_whatever_link_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to("images")
    named, linked = (
        CLEAN.model_copy(
            update={
                "seed": seed,
                "data": CLEAN.data.model_copy(update={"name": f"folder:{tmp_path / name}"}),
            }
        )
        for name, seed in (("images", 0), ("link", 8))
    )
    with pytest.raises(InputError, match="tiny:4 was chosen by"):
        refuse_chosen_by_report(named, linked, "tiny:4")


def test_what_was_found_on_other_data_takes_part() -> None:
    others = CLEAN.data.model_copy(update={"name": "mnist"})
    searched = CLEAN.model_copy(update={"seed": 8, "data": others})
    refuse_chosen_by_report(CLEAN, searched, "tiny:4")


# --- the table

PERCENT = ("ta", "fa", "ra", "mia")
LABELS = ["first", "second", "none"]
DRAWS = np.random.default_rng(5).uniform(20, 95, (3, 6, 4))
"""By repeat: three retrained models, θ_o, and two runs; each with `PERCENT`."""


def percents(values: Any) -> dict[str, float]:
    return dict(zip(PERCENT, map(float, values), strict=True))


def results(repeats: int = 3) -> Results:
    """Runs of two arms, the second of which has not got its last one; of a third there is none."""
    notes: dict[int, Mapping[str, Any]] = {}
    runs: list[dict[int, Mapping[str, float]]] = [{}, {}, {}]
    for repeat, (*retrained, original, first, second) in enumerate(DRAWS[:repeats]):
        reference = {
            "runs": [percents(model) for model in retrained],
            "seconds": 10.0 + repeat,
            "ceiling": 0.9 + 0.01 * repeat,
        }
        notes[repeat] = {"original": percents(original), "reference": reference}
        for position, run in enumerate((first, second)):
            other = {"frm": 0.1 * (repeat + 1), "rte": 2.0**repeat, "wall_seconds": 1.0}
            runs[position][repeat] = percents(run) | other
    if repeats > 1:
        del runs[1][repeats - 1]
    return Results("x-compare", notes, runs, [{}, {}, {}], False)


@pytest.fixture
def table() -> Comparison:
    return tabulate(LABELS, results())


def assert_percents(row: Row, draws: Any) -> None:
    """Means and standard deviations are numpy's over the draws."""
    means, deviations = np.mean(draws, axis=0), np.std(draws, axis=0, ddof=1)
    for name, mean, sd in zip(PERCENT, means, deviations, strict=True):
        assert row.mean[name] == pytest.approx(mean)
        assert row.sd[name] == pytest.approx(sd)


def test_a_row_has_means_and_deviations_over_the_repeats(table: Comparison) -> None:
    first, second, _ = table.rows
    assert (first.repeats, second.repeats) == (3, 2)
    assert_percents(first, DRAWS[:, 4])
    assert_percents(second, DRAWS[:2, 5])
    assert first.mean["rte"] == pytest.approx((1 + 2 + 4) / 3)
    assert first.sd["rte"] == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert first.mean["frm"] == pytest.approx(0.2)


def test_the_retrained_models_of_all_repeats_are_one_row(table: Comparison) -> None:
    assert_percents(table.retrained, DRAWS[:, :3].reshape(9, 4))
    assert table.retrained.repeats == 3
    assert table.retrained.mean["frm"] == pytest.approx(0.91)  # the ceilings
    assert table.retrained.mean["rte"] == pytest.approx(11)
    assert table.retrained.sd["rte"] == pytest.approx(1)


def test_the_original_model_has_a_row_without_a_cost(table: Comparison) -> None:
    assert_percents(table.original, DRAWS[:, 3])
    assert table.original.mean.keys() == set(PERCENT)
    assert table.original.rte_share is None


def test_gaps_are_differences_of_means(table: Comparison) -> None:
    retrained = DRAWS[:, :3].reshape(9, 4).mean(axis=0)
    for row, draws in ((table.rows[0], DRAWS[:, 4]), (table.original, DRAWS[:, 3])):
        gaps = draws.mean(axis=0) - retrained
        assert [row.gap[name] for name in PERCENT] == pytest.approx(gaps.tolist())


def test_frm_of_means_is_equation_9_of_the_mean_figures(table: Comparison) -> None:
    _, *theirs = DRAWS[:, :3].reshape(9, 4).mean(axis=0)
    for row, draws in ((table.rows[0], DRAWS[:, 4]), (table.original, DRAWS[:, 3])):
        _, *ours = draws.mean(axis=0)
        gaps = (abs(u - r) / r for u, r in zip(ours, theirs, strict=True))
        assert row.frm_of_means == pytest.approx(math.exp(-sum(gaps)))


def test_a_row_is_measured_by_the_retrained_models_of_its_own_repeats(table: Comparison) -> None:
    second, retrained = table.rows[1], DRAWS[:2, :3].reshape(6, 4).mean(axis=0)
    assert second.repeats == 2
    gaps = DRAWS[:2, 5].mean(axis=0) - retrained
    assert [second.gap[name] for name in PERCENT] == pytest.approx(gaps.tolist())
    assert second.rte_share == pytest.approx(1.5 / 10.5)


def test_the_cost_is_told_as_a_share_of_retrainings(table: Comparison) -> None:
    assert table.rows[0].rte_share == pytest.approx(7 / 3 / 11)


def test_an_arm_without_a_complete_run_has_an_empty_row(table: Comparison) -> None:
    assert table.rows[2] == Row("none", 0, [], {}, {})


def test_a_single_repeat_has_no_deviation() -> None:
    table = tabulate(LABELS, results(repeats=1))
    for row in table.rows[:2]:
        assert row.repeats == 1
        assert row.sd == {}
    assert table.table()[2]["ta_sd"] is None
    assert table.retrained.sd["fa"] == pytest.approx(np.std(DRAWS[0, :3, 1], ddof=1))


def test_flat_rows_hold_the_table_from_top_to_bottom(table: Comparison) -> None:
    rows = table.table()
    assert [row["method"] for row in rows] == ["retrained models", "original model", *LABELS]
    assert [row["repeats"] for row in rows] == [3, 3, 3, 2, 0]
    first = rows[2]
    for name in PERCENT:
        assert first[name] == table.rows[0].mean[name]
        assert first[f"{name}_sd"] == table.rows[0].sd[name]
        assert first[f"{name}_gap"] == table.rows[0].gap[name]
    assert first["frm_of_means"] == table.rows[0].frm_of_means
    assert rows[-1] == {"method": "none", "repeats": 0, "empty_selections": 0}


def test_the_summary_adds_the_runs_that_the_means_are_taken_over(table: Comparison) -> None:
    summary = comparison_summary(table)
    assert summary["study"] == "x-compare"
    numbers = [[run["repeat"] for run in row["runs"]] for row in summary["rows"]]
    assert numbers == [[0, 0, 0, 1, 1, 1, 2, 2, 2], [0, 1, 2], [0, 1, 2], [0, 1], []]
    for row, flat in zip(summary["rows"], table.table(), strict=True):
        runs = row.pop("runs")
        assert row == flat
        if runs:
            assert np.mean([run["fa"] for run in runs]) == pytest.approx(row["fa"])
    assert [run["fa"] for run in results().runs[0].values()] == DRAWS[:, 4, 1].tolist()


# --- what the methods have to show


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """One repeat on handwritten digits: retraining, θ_o as it is, and a strong gradient ascent."""
    definition = studies.load("digits")
    objectives = definition.objectives.model_copy(update={"retrainings": 3})
    definition = definition.model_copy(update={"objectives": objectives})
    untouched = arm("ft", epochs=0, pruning_rate=0.0)
    ascent = arm("ga", epochs=20, learning_rate=1e-2, pruning_rate=0.0)
    arms = [arm_of_method("retrain", definition), untouched, ascent]
    home = Home.new(tmp_path_factory.mktemp("digits"))
    return home.experiment("comparison", arms, 1, definition)


def test_retraining_lies_at_the_ceiling(digits: Results) -> None:
    retrain, untouched, _ = (runs[0] for runs in digits.runs)
    # From one retraining to the next FRM changes by some hundredths.
    assert retrain["frm"] == pytest.approx(digits.repeats[0]["reference"]["ceiling"], abs=0.1)
    assert untouched["frm"] < 0.5


def test_no_epoch_of_fine_tuning_leaves_the_original_model(digits: Results) -> None:
    _, untouched, _ = (runs[0] for runs in digits.runs)
    original = digits.repeats[0]["original"]
    assert {name: untouched[name] for name in original} == original
    table = tabulate(["retrain", "ft", "ga"], digits)
    assert table.rows[1].frm_of_means == table.original.frm_of_means
    assert table.rows[1].mean["frm"] == pytest.approx(table.original.frm_of_means)


def test_gradient_ascent_forgets(digits: Results) -> None:
    _, untouched, ascent = (runs[0] for runs in digits.runs)
    assert ascent["fa"] < untouched["fa"]
