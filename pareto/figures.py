"""Pictures of a front."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from pareto.front import OBJECTIVES
from pareto.study import Study

LABELS = {
    "ta": "TA, test accuracy (%) → better",
    "frm": "FRM, likeness to retraining → better",
    "rte": "RTE, cost of a request (s) ← better",
}
FAINT, STRONG = "#9aa5b1", "#c2410c"


def draw_front(study: Study, file: Path) -> None:
    """Draw a study's trials: each pair of objectives, and all three in space.

    Trials on the front are strong and carry their numbers, the others are faint; dashed lines show
    the ceiling of FRM. RTE is on a logarithmic scale.
    """
    values = np.array(study.values())
    numbers = [trial.number for trial in study.complete()]
    front = {trial.number for trial in study.front()}
    on_front = np.array([number in front for number in numbers])
    figure = Figure(figsize=(14, 11), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{study.name}: {len(values)} trials, {len(front)} on the Pareto front")
    pairs = [("rte", "ta"), ("rte", "frm"), ("ta", "frm")]
    for position, (across, up) in enumerate(pairs, start=1):
        axes = figure.add_subplot(2, 2, position)
        x, y = values[:, OBJECTIVES.index(across)], values[:, OBJECTIVES.index(up)]
        axes.scatter(x[~on_front], y[~on_front], s=14, color=FAINT, alpha=0.5)
        axes.scatter(x[on_front], y[on_front], s=30, color=STRONG)
        _label(axes, np.column_stack([x, y])[on_front], np.array(numbers)[on_front])
        axes.set_xlabel(LABELS[across])
        axes.set_ylabel(LABELS[up])
        if across == "rte":
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        if up == "frm" and study.reference:
            ceiling = study.reference["ceiling"]
            axes.axhline(ceiling, color="black", linestyle="--", linewidth=0.8, label="ceiling")
            axes.legend(loc="lower right")
        axes.grid(alpha=0.25)
    space: Any = figure.add_subplot(2, 2, 4, projection="3d")
    rte, ta, frm = values[:, 2], values[:, 0], values[:, 1]
    space.scatter(rte[~on_front], ta[~on_front], frm[~on_front], s=10, color=FAINT, alpha=0.4)
    space.scatter(rte[on_front], ta[on_front], frm[on_front], s=28, color=STRONG)
    space.set_xlabel(LABELS["rte"], fontsize=8)
    space.set_ylabel(LABELS["ta"], fontsize=8)
    space.set_zlabel(LABELS["frm"], fontsize=8)
    figure.savefig(file, dpi=110)


def _label(axes: Any, points: Any, numbers: Any) -> None:
    for (x, y), number in zip(points, numbers, strict=True):
        axes.annotate(str(number), (x, y), xytext=(3, 3), textcoords="offset points", fontsize=7)
