"""A study's front."""

from pathlib import Path
from typing import Any

import numpy as np

from pareto.figures._style import (
    FAINT,
    LABELS,
    PAIRS,
    STRONG,
    draw_ceiling,
    label_axes,
    new_figure,
    save,
)
from pareto.front import OBJECTIVES
from pareto.study import Study


def draw_front(study: Study, file: Path) -> None:
    """Draw a study's trials: each pair of objectives, and all three in space.

    Trials on the front are strong and carry their numbers, the others are faint; dashed lines show
    the ceiling of FRM. RTE is on a logarithmic scale.
    """
    values = np.array(study.values())
    numbers = [trial.number for trial in study.complete()]
    front = {trial.number for trial in study.front()}
    on_front = np.array([number in front for number in numbers])
    title = f"{study.name}: {len(values)} trials, {len(front)} on the Pareto front"
    figure = new_figure(14, 11, title)
    for position, (across, up) in enumerate(PAIRS, start=1):
        axes = figure.add_subplot(2, 2, position)
        x, y = values[:, OBJECTIVES.index(across)], values[:, OBJECTIVES.index(up)]
        axes.scatter(x[~on_front], y[~on_front], s=14, color=FAINT, alpha=0.5)
        axes.scatter(x[on_front], y[on_front], s=30, color=STRONG)
        _number(axes, np.column_stack([x, y])[on_front], np.array(numbers)[on_front])
        label_axes(axes, across, up)
        if up == "frm" and study.reference:
            draw_ceiling(axes, study.reference["ceiling"])
            axes.legend(loc="lower right")
    space: Any = figure.add_subplot(2, 2, 4, projection="3d")
    rte, ta, frm = values[:, 2], values[:, 0], values[:, 1]
    space.scatter(rte[~on_front], ta[~on_front], frm[~on_front], s=10, color=FAINT, alpha=0.4)
    space.scatter(rte[on_front], ta[on_front], frm[on_front], s=28, color=STRONG)
    space.set_xlabel(LABELS["rte"], fontsize=8)
    space.set_ylabel(LABELS["ta"], fontsize=8)
    space.set_zlabel(LABELS["frm"], fontsize=8)
    save(figure, file)


def _number(axes: Any, points: Any, numbers: Any) -> None:
    for (x, y), number in zip(points, numbers, strict=True):
        axes.annotate(str(number), (x, y), xytext=(3, 3), textcoords="offset points", fontsize=7)
