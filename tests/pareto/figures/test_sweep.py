"""A sweep as lines."""

from pathlib import Path

import numpy as np
import pytest

from pareto.experiments.experiment import Results
from pareto.experiments.sweep import Levels, Sweep
from pareto.figures import draw_sweep
from tests.pareto.figures.pictures import pixels, shows

RUN = {"ta": 90.0, "fa": 88.0, "ra": 99.0, "mia": 35.0, "frm": 0.8, "rte": 2.0}
ALPHA, DELTA = Levels("alpha", (5, 0, 2)), Levels("delta", (0, 3))
BLUE, ORANGE = "#1f77b4", "#ff7f0e"


def draw(folder: Path, runs: list[dict[int, dict[str, float]]], *levels: Levels) -> Path:
    results = Results("x-sweep", {0: {}, 1: {}}, runs, [{} for _ in runs], False)
    draw_sweep(Sweep.of(levels, results), folder / "sweep.png")
    return folder / "sweep.png"


@pytest.mark.filterwarnings("error")
def test_there_is_a_panel_for_every_objective(tmp_path: Path) -> None:
    runs = [{0: RUN, 1: RUN | {"ta": 80.0 + k, "frm": 0.1 * k, "rte": 3.0 + k}} for k in range(3)]
    picture = pixels(draw(tmp_path, runs, ALPHA))
    for panel in np.array_split(picture, 3, axis=1):
        assert shows(panel, BLUE)
        assert not shows(panel, ORANGE)


@pytest.mark.filterwarnings("error")
def test_a_pair_has_a_line_for_each_value_of_the_second(tmp_path: Path) -> None:
    runs = [{0: RUN | {"ta": 80.0 + k, "frm": 0.1 * k, "rte": 3.0 + k}} for k in range(6)]
    picture = pixels(draw(tmp_path, runs, ALPHA, DELTA))
    for panel in np.array_split(picture[: int(0.8 * len(picture))], 3, axis=1):
        assert shows(panel, BLUE)
        assert shows(panel, ORANGE)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("levels", [[ALPHA], [ALPHA, DELTA]], ids=["one", "pair"])
def test_points_without_a_run_are_left_out(levels: list[Levels], tmp_path: Path) -> None:
    count = int(np.prod([len(of.values) for of in levels]))
    none: list[dict[int, dict[str, float]]] = [{} for _ in range(count)]
    for runs in (none, [{0: RUN}, *none[1:]]):
        assert pixels(draw(tmp_path, runs, *levels)).std() > 0
