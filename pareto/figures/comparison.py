"""Methods side by side: a comparison's table as bars."""

from pathlib import Path
from typing import TYPE_CHECKING

from pareto.figures._style import FAINT, STRONG, label_decades, new_figure, save

if TYPE_CHECKING:
    from pareto.experiments.comparison import Comparison

PANELS = {
    "ta": "TA, test accuracy (%) ↑ better",
    "frm": "FRM, likeness to retraining ↑ better",
    "rte": "RTE, cost of a request (s) ↓ better",
    "fa": "FA, accuracy on forgotten samples (%)",
    "ra": "RA, accuracy on retained samples (%)",
    "mia": "MIA, taken for unseen (%)",
}


def draw_comparison(comparison: "Comparison", file: Path) -> None:
    """Draw the mean of each figure of each method, with its standard deviation.

    Dashed lines show the retrained models: that is what FA, RA and MIA should be like, and for FRM
    it is the ceiling. RTE is on a logarithmic scale.
    """
    rows = [row for row in comparison.rows if row.repeats]
    repeats = comparison.retrained.repeats
    figure = new_figure(14, 8, f"{comparison.name}: mean ± standard deviation, {repeats} repeat(s)")
    for position, (name, title) in enumerate(PANELS.items(), start=1):
        axes = figure.add_subplot(2, 3, position)
        labels = [row.label for row in rows]
        heights = [row.mean[name] for row in rows]
        axes.bar(
            labels, heights, yerr=[row.sd.get(name, 0.0) for row in rows], color=FAINT, capsize=3
        )
        axes.axhline(
            comparison.retrained.mean[name], color=STRONG, linestyle="--", label="retrained models"
        )
        axes.set_title(title, fontsize=10)
        axes.tick_params(axis="x", labelrotation=90)
        axes.grid(axis="y", alpha=0.25)
        if name == "rte":
            axes.set_yscale("log")
            label_decades(axes.yaxis)
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower right")
    save(figure, file)
