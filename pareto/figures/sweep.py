"""How the objectives go with one parameter (the paper's Figure 3)."""

from pathlib import Path
from typing import TYPE_CHECKING

from pareto.figures._style import LABELS, new_figure, save
from pareto.front import OBJECTIVES

if TYPE_CHECKING:
    from pareto.experiments.sweep import Sweep

MARKERS = "os^Dvp*X"


def draw_sweep(sweep: "Sweep", file: Path) -> None:
    """Draw the mean of each objective over the first parameter, with its standard deviation; one
    line for each value of the second parameter, if there is one."""
    parameter = sweep.swept[0].name
    figure = new_figure(
        14, 5, f"{sweep.name}: mean ± standard deviation, {sweep.repeats} repeat(s)"
    )
    for position, name in enumerate(OBJECTIVES, start=1):
        axes = figure.add_subplot(1, 3, position)
        for number, (beside, points) in enumerate(sweep.lines()):
            whole = sorted((p for p in points if p.runs), key=lambda p: p.at[parameter])
            axes.errorbar(
                [point.at[parameter] for point in whole],
                [point.mean[name] for point in whole],
                yerr=[point.sd.get(name, 0.0) for point in whole],
                marker=MARKERS[number % len(MARKERS)],
                capsize=3,
                label=", ".join(f"{key} = {value:g}" for key, value in beside.items()) or None,
            )
        axes.set_xlabel(parameter)
        axes.set_ylabel(LABELS[name])
        axes.grid(alpha=0.25)
    if len(sweep.swept) > 1:
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    save(figure, file)
