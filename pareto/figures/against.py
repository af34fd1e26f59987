"""Two studies of one problem, drawn over each other (the paper's Figure 4)."""

from pathlib import Path
from typing import Any

import numpy as np

from pareto.figures._style import PAIRS, draw_ceiling, label_axes, new_figure, save
from pareto.front import DIRECTIONS, OBJECTIVES, non_dominated
from pareto.study import Study

# Okabe and Ito's blue and vermilion, which nobody's eyes confuse; the shapes serve a print in grey.
LOOKS = (("#0072b2", "o"), ("#d55e00", "^"))


def draw_against(study: Study, other: Study, file: Path) -> None:
    """Draw the trials of two studies, each of which has some, in each pair of objectives.

    Trials on the fronts are strong, the others are faint. Dashed lines show the ceiling of FRM, a
    star the retrained models at their ceiling: twice, where the studies have different ones. RTE is
    on a logarithmic scale.
    """
    figure = new_figure(16, 6, f"{study.name} against {other.name}")
    references = [study.reference]
    if other.reference != study.reference:
        references.append(other.reference)
    for position, (across, up) in enumerate(PAIRS, start=1):
        axes = figure.add_subplot(1, 3, position)
        for one, (colour, marker) in zip((study, other), LOOKS, strict=True):
            _draw_trials(axes, one, across, up, colour, marker)
        for reference in filter(None, references):
            _draw_retrained(axes, reference, across, up)
        label_axes(axes, across, up)
    handles, labels = axes.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=3)
    save(figure, file)


def _draw_trials(axes: Any, study: Study, across: str, up: str, colour: str, marker: str) -> None:
    values = np.array(study.values())
    on_front = non_dominated(values, DIRECTIONS)
    x, y = values[:, OBJECTIVES.index(across)], values[:, OBJECTIVES.index(up)]
    looks = {"color": colour, "marker": marker, "linewidth": 0}
    front = f"{study.name}: front of {on_front.sum()}"
    axes.scatter(x[on_front], y[on_front], s=42, label=front, zorder=3, **looks)
    rest = f"{study.name}: its other trials"
    axes.scatter(x[~on_front], y[~on_front], s=16, alpha=0.25, label=rest, **looks)


def _draw_retrained(axes: Any, reference: Any, across: str, up: str) -> None:
    point = {
        "ta": reference["mean"]["ta"],
        "frm": reference["ceiling"],
        "rte": reference["seconds"],
    }
    label, looks = r"$\theta_r$, retrained", {"color": "black", "marker": "*", "linewidth": 0}
    axes.scatter(point[across], point[up], s=180, zorder=4, label=label, **looks)
    if up == "frm":
        draw_ceiling(axes, reference["ceiling"])
