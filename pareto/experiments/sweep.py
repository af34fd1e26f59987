"""Sweeping one parameter, or a pair, with the rest fixed (ConMU, Figure 3)."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import permutation_test, rankdata

from pareto.experiments.arms import KEEP, Z_BOUNDS, Arm, whole_arm
from pareto.experiments.experiment import Results, numbered
from pareto.results.averages import SIX_FIGURES, columns, mean_and_sd
from pareto.results.empty_selection import count_empty
from studies import Definition
from unlearn.errors import InputError

MIN_LEVELS = 3
"""Of fewer, a rank correlation says nothing."""
PERMUTATIONS = 9_999
MOST_LEVELS = 1_000
LEVELS_REMEDY = "give NAME=A,B,C or NAME=LOW:HIGH:COUNT, such as alpha=0,2,5 or keep=0.05:0.9:6"


@dataclass(frozen=True)
class Levels:
    """A parameter, and the values it takes, in the order given."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Point:
    """One configuration of a sweep: means and standard deviations over the repeats.

    Attributes:
        at: the value of each swept parameter.
        runs: the number (`repeat`) and the figures of each complete repeat.
        mean, sd: of `ta`, `frm`, `rte`, `fa`, `ra`, `mia`; of a single repeat there is no standard
            deviation, and without any nothing.
    """

    at: Mapping[str, Any]
    runs: Sequence[Mapping[str, float]]
    mean: Mapping[str, float]
    sd: Mapping[str, float]

    @property
    def label(self) -> str:
        """Its values in words."""
        return ", ".join(f"{name}={value:g}" for name, value in self.at.items())


@dataclass(frozen=True)
class Trend:
    """Spearman's rank correlation of the first parameter with a figure.

    Attributes:
        beside: the value of the second parameter, if there is one.
        of_means, p_of_means: over the levels' means, and its two-sided p-value; None where one of
            the two does not vary, or there are fewer than three levels.
        within_repeats, p_within_repeats: the same over the runs, ranked within their repeat: what
            repeats differ by, such as their requests, counts for nothing. Of repeats that are
            complete. With p it is Page's trend test, two-sided, with ties.
    """

    parameter: str
    beside: Mapping[str, Any]
    figure: str
    of_means: float | None
    p_of_means: float | None
    within_repeats: float | None
    p_within_repeats: float | None


@dataclass(frozen=True)
class Sweep:
    """A sweep and what came of it.

    Attributes:
        swept: the parameter, or the pair.
        points: in the order of `combinations`.
    """

    name: str
    repeats: int
    swept: tuple[Levels, ...]
    points: tuple[Point, ...]

    @classmethod
    def of(cls, swept: Sequence[Levels], results: Results) -> "Sweep":
        points = [
            _point(at, numbered(runs))
            for at, runs in zip(combinations(swept), results.runs, strict=True)
        ]
        return cls(results.name, len(results.repeats), tuple(swept), tuple(points))

    def table(self) -> list[dict[str, Any]]:
        """The points, flat."""
        return [_flat(point) for point in self.points]

    def lines(self) -> list[tuple[Mapping[str, Any], list[Point]]]:
        """The points along the first parameter, for each value of the second, if there is one."""
        beside = combinations(self.swept[1:])
        return [(at, [p for p in self.points if at.items() <= p.at.items()]) for at in beside]

    def trends(self) -> list[Trend]:
        """How each figure goes with the first parameter, line by line."""
        parameter = self.swept[0].name
        return [
            Trend(
                parameter,
                beside,
                figure,
                *_spearman([_pairs_of_means(parameter, figure, points)]),
                *_spearman(_pairs_by_repeat(parameter, figure, points)),
            )
            for beside, points in self.lines()
            for figure in SIX_FIGURES
        ]


def parse_levels(text: str) -> Levels:
    """`NAME=A,B,C`, or `NAME=LOW:HIGH:COUNT` for evenly spaced values, both ends included.

    Raises:
        InputError: it is neither.
    """
    name, _, values = text.partition("=")
    try:
        if ":" in values:
            low, high, count = values.split(":")
            ends = _number(low), _number(high)
            if int(count) > MOST_LEVELS:
                raise InputError(
                    f"{text!r} gives {count} values, more than {MOST_LEVELS}", LEVELS_REMEDY
                )
            spaced = np.linspace(*ends, int(count)).round(12).tolist()
            whole = all(isinstance(end, int) for end in ends)
            parsed = [int(v) if whole and v == int(v) else v for v in spaced]
        else:
            parsed = [_number(word) for word in values.split(",")]
    except ValueError:
        raise InputError(f"{text!r} has a value that is no number", LEVELS_REMEDY) from None
    if not name or len(parsed) < 2:
        raise InputError(f"{text!r} gives fewer than two values", LEVELS_REMEDY)
    if len(set(parsed)) < len(parsed):
        raise InputError(f"{text!r} gives a value twice", LEVELS_REMEDY)
    return Levels(name, tuple(parsed))


def parse_sweep(texts: Sequence[str]) -> list[Levels]:
    """One parameter with its levels, or two.

    Raises:
        InputError: there are more, or one of them twice.
    """
    swept = [parse_levels(text) for text in texts]
    if len(swept) > 2 or len({levels.name for levels in swept}) < len(swept):
        raise InputError("a sweep varies one parameter, or two", "give --vary once or twice")
    return swept


def parse_setting(text: str) -> tuple[str, Any]:
    """`NAME=VALUE`.

    Raises:
        InputError: it is not, or the value is no number.
    """
    name, _, value = text.partition("=")
    try:
        return name, _number(value)
    except ValueError:
        raise InputError(f"{text!r} sets no number", "give NAME=VALUE, such as delta=1") from None


def arms(
    definition: Definition,
    swept: Sequence[Levels],
    fixed: Mapping[str, Any],
    start: Arm | None = None,
) -> list[Arm]:
    """One arm for every combination of levels, in the order of `combinations`.

    Args:
        fixed: parameters that differ from those of `start`.
        start: where all the others come from; None is what a search would try first.

    Raises:
        InputError: there is no such parameter, or it does not take such a value, or it is given
            one in two ways; or `start` is of another method.
    """
    varied = {levels.name for levels in swept}
    for name in varied & fixed.keys():
        raise InputError(f"{name} is varied, and set to one value too", "leave out one of the two")
    for name in (varied | fixed.keys()) & set(Z_BOUNDS):
        if KEEP in varied | fixed.keys():
            raise InputError(f"{KEEP} stands in for {name}", "leave out one of the two")
    points = definition.starting_points()
    base = dict(points[0]) if points else {}
    if start is not None:
        if start.method != definition.unlearning.name:
            raise InputError(
                f"that trial is one of {start.method}, not of {definition.unlearning.name}",
                f"add --method {start.method}",
            )
        base = dict(start.config)
    base.update(fixed)
    method, known = definition.unlearning.name, {**definition.fixed, **base}
    return [whole_arm(method, {**known, **at}) for at in combinations(swept)]


def combinations(swept: Sequence[Levels]) -> list[dict[str, Any]]:
    """Every combination of levels, the first parameter changing slowest."""
    names = [levels.name for levels in swept]
    every = itertools.product(*(levels.values for levels in swept))
    return [dict(zip(names, values, strict=True)) for values in every]


def sweep_summary(sweep: Sweep) -> dict[str, Any]:
    """A sweep as JSON; `runs` of each point are the figures of its repeats, with the number of
    each."""
    return {
        "study": sweep.name,
        "swept": {levels.name: list(levels.values) for levels in sweep.swept},
        "points": [
            {**_flat(point), "runs": [dict(run) for run in point.runs]} for point in sweep.points
        ],
        "trends": [asdict(trend) for trend in sweep.trends()],
    }


def _flat(point: Point) -> dict[str, Any]:
    """A point's parameters, means and standard deviations, by name."""
    runs = point.runs
    flat = {**point.at, "repeats": len(runs), "empty_selections": count_empty(runs)}
    for name, value in point.mean.items():
        flat |= {name: value, f"{name}_sd": point.sd.get(name)}
    return flat


def _point(at: Mapping[str, Any], runs: Sequence[Mapping[str, float]]) -> Point:
    return Point(at, runs, *mean_and_sd(columns(runs)))


Pairs = list[tuple[float, float]]


def _pairs_of_means(parameter: str, figure: str, points: Sequence[Point]) -> Pairs:
    """(level, figure) for the mean of every point that has any."""
    return [(point.at[parameter], point.mean[figure]) for point in points if point.runs]


def _pairs_by_repeat(parameter: str, figure: str, points: Sequence[Point]) -> list[Pairs]:
    """(level, figure) for every run, by repeat, where no run of the repeat is missing."""
    runs = [
        (point.at[parameter], {run["repeat"]: run[figure] for run in point.runs})
        for point in points
        if point.runs
    ]
    whole = sorted(set[float].intersection(*(set(of) for _, of in runs))) if runs else []
    return [[(level, of[repeat]) for level, of in runs] for repeat in whole]


def _spearman(blocks: Sequence[Pairs]) -> tuple[float | None, float | None]:
    """Spearman's ρ within blocks of equal size, and its p-value by permutations within them: exact
    if these are few, since the usual approximation by a t-distribution gives 0 for a perfect
    correlation of however few."""
    levels, figures = ([[pair[n] for pair in block] for block in blocks] for n in (0, 1))
    if not blocks or len(set(levels[0])) < MIN_LEVELS or all(len(set(of)) < 2 for of in figures):
        return None, None
    across, up = ([_centred_ranks(of) for of in sides] for sides in (levels, figures))

    def product(*ranks: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        products = [(x * y).sum(axis=axis) for x, y in zip(ranks, up, strict=True)]
        total: NDArray[np.float64] = np.sum(products, axis=0)
        return total

    result = permutation_test(
        across,
        product,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        rng=0,
    )
    largest = math.sqrt(sum(x @ x for x in across) * sum(y @ y for y in up))
    return float(result.statistic) / largest, float(result.pvalue)


def _centred_ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Twice the ranks, with mean 0: whole numbers, whose products are exact and can be compared."""
    ranks: NDArray[np.float64] = 2 * rankdata(values) - (len(values) + 1)
    return ranks


def _number(word: str) -> int | float:
    try:
        return int(word)
    except ValueError:
        number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"{word} is not finite")
    return number
