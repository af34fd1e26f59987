"""A comparison as bars."""

from pathlib import Path

import numpy as np
import pytest

from pareto.experiments.comparison import tabulate
from pareto.experiments.experiment import Results
from pareto.figures import draw_comparison
from pareto.figures._style import FAINT, STRONG
from tests.pareto.figures.pictures import pixels, shows

RUN = {"ta": 90.0, "fa": 88.0, "ra": 99.0, "mia": 35.0, "frm": 0.8, "rte": 2.0}
REFERENCE = {"runs": [RUN, RUN | {"fa": 90.0}], "seconds": 30.0, "ceiling": 0.9}
NOTES = {0: {"original": RUN, "reference": REFERENCE}}


def draw(folder: Path, *arms: dict[int, dict[str, float]]) -> Path:
    labels = [f"method {number}" for number in range(len(arms))]
    results = Results("x-compare", NOTES, arms, [{} for _ in arms], False)
    draw_comparison(tabulate(labels, results), folder / "comparison.png")
    return folder / "comparison.png"


@pytest.mark.filterwarnings("error")
def test_every_panel_has_bars_and_a_line_for_the_retrained_models(tmp_path: Path) -> None:
    rows = np.array_split(pixels(draw(tmp_path, {0: RUN}, {0: RUN | {"rte": 300.0}})), 2)
    for panel in (panel for row in rows for panel in np.array_split(row, 3, axis=1)):
        assert shows(panel, FAINT)
        assert shows(panel, STRONG)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("arms", [[{}], [{}, {0: RUN}], [{0: RUN | {"frm": 0.0}}]], ids=str)
def test_arms_without_a_run_are_left_out(
    arms: list[dict[int, dict[str, float]]], tmp_path: Path
) -> None:
    assert shows(pixels(draw(tmp_path, *arms)), STRONG)
