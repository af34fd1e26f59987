"""What all pictures have in common."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

LABELS = {
    "ta": "TA, test accuracy (%) → better",
    "frm": "FRM, likeness to retraining → better",
    "rte": "RTE, cost of a request (s) ← better",
}
PAIRS = (("rte", "ta"), ("rte", "frm"), ("ta", "frm"))
"""The objectives by twos: across, up."""

FAINT, STRONG = "#9aa5b1", "#c2410c"


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty picture, its size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title)
    return figure


def label_axes(axes: Any, across: str, up: str) -> None:
    """Name two objectives; RTE, where it goes across, is on a logarithmic scale."""
    axes.set_xlabel(LABELS[across])
    axes.set_ylabel(LABELS[up])
    if across == "rte":
        axes.set_xscale("log")
        label_decades(axes.xaxis)
    axes.grid(alpha=0.25)


def label_decades(axis: Any) -> None:
    """Some plain numbers within each decade of a logarithmic scale."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def draw_ceiling(axes: Any, ceiling: float) -> None:
    """A dashed line, where FRM goes up."""
    axes.axhline(ceiling, color="black", linestyle="--", linewidth=0.8, label="ceiling")


def save(figure: Figure, file: Path) -> None:
    """Write it as PNG, or as what the file's name ends in."""
    figure.savefig(file, dpi=110)
