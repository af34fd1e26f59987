"""Sweeps: what is asked for, which arms that makes, and how figures go with a parameter."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import page_trend_test, rankdata, spearmanr

import studies
from pareto.experiments.experiment import Results
from pareto.experiments.sweep import (
    Levels,
    Sweep,
    Trend,
    arms,
    combinations,
    parse_levels,
    parse_setting,
    parse_sweep,
    sweep_summary,
)
from tests.pareto.cells import arm, keeping
from tests.pareto.home import tiny
from unlearn.errors import InputError

# --- what is asked for


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("alpha=0,2,5", "alpha", (0, 2, 5)),
        ("alpha=5,0", "alpha", (5, 0)),
        ("sigma=0.5,1,1e-3", "sigma", (0.5, 1, 0.001)),
        ("alpha=0:10:6", "alpha", (0, 2, 4, 6, 8, 10)),
        ("alpha=10:0:3", "alpha", (10, 5, 0)),
        ("keep=0.1:0.9:5", "keep", (0.1, 0.3, 0.5, 0.7, 0.9)),
        ("keep=0:1:3", "keep", (0, 0.5, 1)),
        ("sigma=1.0:3.0:3", "sigma", (1.0, 2.0, 3.0)),
        ("mu=-1:1:2", "mu", (-1, 1)),
    ],
)
def test_levels_are_listed_or_evenly_spaced(
    text: str, name: str, values: tuple[float, ...]
) -> None:
    levels = parse_levels(text)
    assert levels == Levels(name, values)
    assert [type(value) for value in levels.values] == [type(value) for value in values]


@given(st.integers(-50, 50), st.integers(1, 50), st.integers(2, 30))
def test_evenly_spaced_levels_are_those_of_an_arithmetic_series(
    low: int, width: int, count: int
) -> None:
    values = parse_levels(f"mu={low}:{low + width}:{count}").values
    step = width / (count - 1)
    assert list(values) == pytest.approx([low + step * k for k in range(count)])
    assert (values[0], values[-1]) == (low, low + width)


BAD_LEVELS = ["alpha", "alpha=", "=1,2", "alpha=1", "alpha=1,", "alpha=1,two", "alpha=1,,2"]
BAD_LEVELS += ["alpha=1,1", "alpha=1,1.0", "alpha=0:10", "alpha=0:10:1", "alpha=0:10:0", "alpha=::"]
BAD_LEVELS += ["alpha=0:10:-3", "alpha=0:10:2.5", "alpha=0:10:3:4", "alpha=3:3:2", "alpha 1,2", ""]
BAD_LEVELS += ["sigma=nan,1", "sigma=1,inf", "sigma=0:inf:3", "sigma=-inf:1:3", "sigma=nan:nan:2"]
BAD_LEVELS += ["alpha=0:10:1000000000000"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text", BAD_LEVELS)
def test_what_gives_no_levels_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_levels(text)
    assert repr(text) in caught.value.problem
    assert "NAME=LOW:HIGH:COUNT" in caught.value.remedy


def test_one_parameter_is_varied_or_a_pair() -> None:
    assert [levels.name for levels in parse_sweep(["alpha=0,1"])] == ["alpha"]
    assert [levels.name for levels in parse_sweep(["delta=0,1", "alpha=0,1"])] == ["delta", "alpha"]


@pytest.mark.parametrize("texts", [["alpha=0,1", "alpha=2,3"], ["a=0,1", "b=0,1", "c=0,1"]])
def test_three_parameters_or_one_twice_are_refused(texts: list[str]) -> None:
    with pytest.raises(InputError, match="one parameter, or two"):
        parse_sweep(texts)


@pytest.mark.parametrize(
    ("text", "setting"),
    [("delta=1", ("delta", 1)), ("sigma=0.5", ("sigma", 0.5)), ("mu=-1e-3", ("mu", -0.001))],
)
def test_a_setting_is_a_name_and_a_number(text: str, setting: tuple[str, float]) -> None:
    parsed = parse_setting(text)
    assert parsed == setting
    assert type(parsed[1]) is type(setting[1])


@pytest.mark.parametrize("text", ["", "delta", "delta=", "delta=one", "delta=1,2", "delta=nan"])
def test_what_sets_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="sets no number"):
        parse_setting(text)


# --- which arms that makes

ALPHA, DELTA = Levels("alpha", (0, 5)), Levels("delta", (2, 0, 1))


def test_combinations_change_the_first_parameter_slowest() -> None:
    assert [(at["alpha"], at["delta"]) for at in combinations([ALPHA, DELTA])] == [
        *((0, 2), (0, 0), (0, 1)),
        *((5, 2), (5, 0), (5, 1)),
    ]
    assert combinations([]) == [{}]


def test_arms_differ_in_the_parameter_alone() -> None:
    first = tiny().starting_points()[0]
    assert arms(tiny(), [ALPHA], {}) == [
        arm("conmu", **{**tiny().fixed, **first, "alpha": alpha}) for alpha in (0, 5)
    ]


def test_settings_hold_for_all_arms() -> None:
    made = arms(tiny(), [ALPHA, DELTA], {"sigma": 0.25, "epochs": 7})
    assert [(one.config["alpha"], one.config["delta"]) for one in made] == [
        tuple(at.values()) for at in combinations([ALPHA, DELTA])
    ]
    assert all((one.config["sigma"], one.config["epochs"]) == (0.25, 7) for one in made)


def test_arms_may_set_out_from_a_given_configuration() -> None:
    start = arm("conmu", gamma=0.75, sigma=0.3, forget_z1=1.25, epochs=9)
    made = arms(tiny(), [ALPHA], {"sigma": 0.4}, start)
    assert made == [
        arm("conmu", gamma=0.75, sigma=0.4, forget_z1=1.25, epochs=9, alpha=alpha)
        for alpha in (0, 5)
    ]


def test_keep_stands_in_for_the_z_bounds() -> None:
    made = arms(tiny(), [Levels("keep", (0.25, 1))], {"alpha": 2, "epochs": 1})
    first = {k: v for k, v in tiny().starting_points()[0].items() if "_z" not in k}
    assert made == [keeping(share, **{**first, "alpha": 2, "epochs": 1}) for share in (0.25, 1.0)]
    assert all(type(one.config["keep"]) is float for one in made)  # 1 is the cell of 1.0


def test_another_method_has_parameters_of_its_own() -> None:
    definition = studies.load("digits").with_method("ft")
    made = arms(definition, [Levels("epochs", (5, 35))], {"learning_rate": 0.05})
    assert made == [arm("ft", epochs=epochs, learning_rate=0.05) for epochs in (5, 35)]


@pytest.mark.parametrize(
    ("varied", "fixed", "problem"),
    [
        ({"magic": (1, 2)}, {}, "'magic' is no parameter of conmu"),
        ({"alpha": (1, 2)}, {"magic": 1}, "'magic' is no parameter of conmu"),
        ({"alpha": (1, 2)}, {"": 1}, "'' is no parameter of conmu"),
        ({"alpha": (0, 0.5)}, {}, "alpha: "),
        ({"alpha": (-1, 1)}, {}, "alpha must not be negative"),
        ({"alpha": (1, 2)}, {"pruning_rate": 1}, "pruning_rate must be under 1"),
        ({"keep": (0.5, 1.5)}, {}, "keep is 1.5, which is no share"),
        ({"alpha": (1, 2)}, {"keep": -0.1}, "keep is -0.1, which is no share"),
        ({"alpha": (1, 2)}, {"alpha": 1}, "alpha is varied, and set"),
        ({"keep": (0, 1)}, {"forget_z1": 1}, "keep stands in for forget_z1"),
        ({"retain_z2": (0, 1)}, {"keep": 0.5}, "keep stands in for retain_z2"),
    ],
)
def test_what_a_method_does_not_take_is_refused(
    varied: dict[str, tuple[float, ...]], fixed: dict[str, float], problem: str
) -> None:
    swept = [Levels(name, values) for name, values in varied.items()]
    with pytest.raises(InputError) as caught:
        arms(tiny(), swept, fixed)
    assert problem in caught.value.problem
    assert caught.value.remedy


def test_only_conmu_can_keep_a_share() -> None:
    with pytest.raises(InputError, match="'keep' is no parameter of ft"):
        arms(studies.load("digits").with_method("ft"), [Levels("keep", (0.1, 0.5))], {})


def test_a_configuration_of_another_method_is_refused() -> None:
    with pytest.raises(InputError, match="one of ft, not of conmu") as caught:
        arms(tiny(), [ALPHA], {}, arm("ft"))
    assert caught.value.remedy == "add --method ft"


# --- how figures go with a parameter

Runs = list[list[float]]


def sweep(figures: Runs, *levels: Levels, name: str = "ta") -> Sweep:
    """A sweep whose runs have these figures, by point and repeat, as `name`."""
    rest = dict.fromkeys({"ta", "frm", "rte", "fa", "ra", "mia"} - {name}, 1.0)
    runs = [{k: {**rest, name: value} for k, value in enumerate(of)} for of in figures]
    repeats: dict[int, dict[str, Any]] = {k: {} for k in range(max(map(len, figures)))}
    return Sweep.of(levels, Results("x-sweep", repeats, runs, [{} for _ in runs], False))


def trend(figures: Runs, levels: Levels) -> Trend:
    (found,) = (t for t in sweep(figures, levels).trends() if t.figure == "ta")
    return found


def brute_force(x: list[float], y: list[float]) -> tuple[float, float]:
    """Spearman's ρ, and twice the smaller share of all orders of x in which it is as extreme."""
    rho: Any = spearmanr(x, y).statistic
    every = np.array([spearmanr(order, y).statistic for order in itertools.permutations(x)])
    above, below = np.mean(every >= rho - 1e-9), np.mean(every <= rho + 1e-9)
    return float(rho), float(min(1.0, 2 * min(above, below)))


FEW = [
    [1.0, 2.0, 3.0],
    [3.0, 2.0, 1.0],
    [1.0, 3.0, 2.0],
    [1.0, 3.0, 2.0, 4.0],
    [2.0, 4.0, 1.0, 3.0],
    [5.0, 5.0, 7.0, 5.0],
    [1.0, 2.0, 2.0, 4.0, 3.0],
    [0.3, 0.1, 0.2, 0.5, 0.4],
]


@pytest.mark.parametrize("figures", FEW, ids=str)
def test_a_rank_correlation_of_few_levels_has_its_exact_p_value(figures: list[float]) -> None:
    levels = Levels("alpha", tuple(10**k for k in range(len(figures))))
    found = trend([[figure] for figure in figures], levels)
    rho, p = brute_force(list(levels.values), figures)
    assert found.of_means == pytest.approx(rho)
    assert found.p_of_means == pytest.approx(p)
    within = found.within_repeats, found.p_within_repeats
    assert within == (found.of_means, found.p_of_means)


BLOCKS = st.integers(3, 4).flatmap(
    lambda levels: st.lists(
        st.lists(st.integers(0, 4).map(float), min_size=levels, max_size=levels),
        min_size=2,
        max_size=2,
    )
)


@settings(max_examples=20)
@given(BLOCKS)
def test_runs_are_ranked_and_permuted_within_their_repeats(blocks: list[list[float]]) -> None:
    assume(any(len(set(of)) > 1 for of in blocks))
    levels = Levels("alpha", tuple(range(len(blocks[0]))))
    found = trend([list(of) for of in zip(*blocks, strict=True)], levels)

    def centred(values: Sequence[float]) -> Any:
        return rankdata(values) - (len(values) + 1) / 2

    up = np.concatenate([centred(of) for of in blocks])
    x = centred(levels.values)
    orders = itertools.product(itertools.permutations(x), repeat=len(blocks))
    every = np.array([np.concatenate(order) @ up for order in orders])
    here = np.concatenate([x] * len(blocks)) @ up
    expected = np.corrcoef(np.concatenate([x] * len(blocks)), up)[0, 1]
    above, below = np.mean(every >= here - 1e-9), np.mean(every <= here + 1e-9)
    assert found.within_repeats == pytest.approx(expected)
    assert found.p_within_repeats == pytest.approx(min(1.0, 2 * min(above, below)))


@settings(max_examples=20)
@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=4, max_size=6))
def test_rank_correlations_are_scipys(figures: list[list[int]]) -> None:
    levels = Levels("alpha", tuple(range(len(figures))))
    found = trend([list(map(float, of)) for of in figures], levels)
    means = [np.mean(of) for of in figures]
    if len(set(means)) > 1:
        assert found.of_means == pytest.approx(spearmanr(levels.values, means).statistic)
    else:
        assert found.of_means is None


def test_of_many_runs_the_p_value_is_that_of_pages_trend_test() -> None:
    draws = np.random.default_rng(3).normal(size=(9, 3)) + 0.04 * np.arange(9)[:, None]
    found = trend(draws.tolist(), Levels("alpha", tuple(range(9))))
    expected = 2 * page_trend_test(draws.T, method="exact").pvalue  # which has one side
    assert 0.005 < expected < 0.5
    assert found.p_within_repeats == pytest.approx(expected, rel=0.2)
    again = trend(draws.tolist(), Levels("alpha", tuple(range(9))))
    assert again == found


def test_what_repeats_differ_by_hides_no_trend() -> None:
    runs = np.arange(5.0)[:, None] + np.array([0.0, 0.3, 0.1])
    levels = Levels("alpha", tuple(range(5)))
    apart = trend((runs + np.array([0.0, 50.0, -90.0])).tolist(), levels)
    assert apart.within_repeats == trend(runs.tolist(), levels).within_repeats == 1.0


def test_a_repeat_that_lacks_a_run_has_no_say_within_repeats() -> None:
    levels = Levels("alpha", (0, 1, 2))
    whole = trend([[1.0], [2.0], [3.0]], levels)
    lacking = trend([[1.0, 9.0], [2.0, 5.0], [3.0]], levels)
    assert lacking.within_repeats == whole.within_repeats == 1.0
    assert lacking.of_means == -1.0


@pytest.mark.parametrize(
    ("figures", "values"), [([[1.0], [2.0]], (0, 1)), ([[5.0], [5.0], [5.0]], (0, 1, 2))]
)
def test_two_levels_or_a_constant_figure_have_no_correlation(
    figures: Runs, values: tuple[int, ...]
) -> None:
    found = trend(figures, Levels("alpha", values))
    assert (found.of_means, found.p_of_means) == (None, None)
    assert (found.within_repeats, found.p_within_repeats) == (None, None)


def test_a_pair_has_a_line_for_every_value_of_the_second_parameter() -> None:
    falling_and_rising = [[9.0], [1.0], [5.0], [4.0], [2.0], [8.0]]
    found = sweep(falling_and_rising, Levels("alpha", (0, 1, 2)), Levels("delta", (0, 3)))
    assert [
        (beside, [(point.at["alpha"], point.mean["ta"]) for point in points])
        for beside, points in found.lines()
    ] == [
        ({"delta": 0}, [(0, 9.0), (1, 5.0), (2, 2.0)]),
        ({"delta": 3}, [(0, 1.0), (1, 4.0), (2, 8.0)]),
    ]
    trends = {(t.beside["delta"], t.figure): t for t in found.trends()}
    assert len(trends) == 2 * 6
    assert (trends[0, "ta"].of_means, trends[3, "ta"].of_means) == (-1.0, 1.0)
    assert trends[0, "ta"].parameter == "alpha"
    assert trends[0, "frm"].of_means is None


def test_a_point_has_means_and_deviations_over_its_runs() -> None:
    figures = [[80.0, 90.0, 85.0], [70.0], []]
    found = sweep(figures, Levels("alpha", (0, 1, 2)), name="fa")
    assert found.repeats == 3
    assert [len(point.runs) for point in found.points] == [3, 1, 0]
    whole, single, none = found.points
    assert whole.mean["fa"] == pytest.approx(np.mean(figures[0]))
    assert whole.sd["fa"] == pytest.approx(np.std(figures[0], ddof=1))
    assert (single.mean["fa"], single.sd) == (70.0, {})
    assert (none.mean, none.sd) == ({}, {})


def test_flat_rows_and_summary_hold_the_whole_sweep() -> None:
    found = sweep([[80.0, 90.0], [70.0, 60.0], []], Levels("alpha", (0, 2, 5)))
    rows = found.table()
    assert [(row["alpha"], row["repeats"]) for row in rows] == [(0, 2), (2, 2), (5, 0)]
    assert rows[0]["ta"] == 85.0
    assert rows[0]["ta_sd"] == pytest.approx(math.sqrt(50))
    summary: dict[str, Any] = sweep_summary(found)
    assert (summary["study"], summary["swept"]) == ("x-sweep", {"alpha": [0, 2, 5]})
    runs = [point.pop("runs") for point in summary["points"]]
    assert summary["points"] == rows
    assert [[(run["repeat"], run["ta"]) for run in of] for of in runs] == [
        [(0, 80.0), (1, 90.0)],
        [(0, 70.0), (1, 60.0)],
        [],
    ]
    assert [t["figure"] for t in summary["trends"]] == ["ta", "frm", "rte", "fa", "ra", "mia"]


def test_a_point_is_named_by_its_values() -> None:
    found = sweep([[1.0], [2.0]], Levels("sigma", (0.5,)), Levels("delta", (0, 3)))
    assert [point.label for point in found.points] == ["sigma=0.5, delta=0", "sigma=0.5, delta=3"]
