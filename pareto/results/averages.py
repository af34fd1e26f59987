"""Means and standard deviations over repeats."""

import statistics
from collections.abc import Mapping, Sequence

SIX_FIGURES = ("ta", "frm", "rte", "fa", "ra", "mia")
"""What is told of every run: the objectives, and the figures that FRM is made of."""


def columns(
    runs: Sequence[Mapping[str, float]], names: Sequence[str] = SIX_FIGURES
) -> dict[str, list[float]]:
    """The values of each figure that all of the runs have; nothing of no run."""
    common = [name for name in names if runs and all(name in run for run in runs)]
    return {name: [run[name] for run in runs] for name in common}


def mean_and_sd(
    columns: Mapping[str, Sequence[float]],
) -> tuple[dict[str, float], dict[str, float]]:
    """The mean of each column, and its standard deviation (with n − 1); a single value has none."""
    mean = {name: statistics.fmean(column) for name, column in columns.items()}
    sd = {name: statistics.stdev(column) for name, column in columns.items() if len(column) > 1}
    return mean, sd
