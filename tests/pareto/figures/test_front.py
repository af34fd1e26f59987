"""Pictures that can be opened, whatever the study looks like."""

from pathlib import Path

import numpy as np
import pytest

from pareto.figures import draw_front
from tests.pareto.figures.pictures import pixels, shows
from tests.pareto.home import Home
from tests.pareto.recorded import Values, record


def test_the_front_of_a_search_is_drawn(finished: Home, tmp_path: Path) -> None:
    draw_front(finished.study(), tmp_path / "front.png")
    drawn = pixels(tmp_path / "front.png")
    assert min(drawn.shape[:2]) > 500
    halves = [half for rows in np.array_split(drawn, 2) for half in np.array_split(rows, 2, 1)]
    assert all(shows(half, "#c2410c") for half in halves)  # the front is in all four panels


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[(80, 0.5, 2)], [(80, 0.5, 2)] * 3])
def test_a_single_trial_or_equal_ones_are_drawn_too(values: list[Values], tmp_path: Path) -> None:
    study = record(f"sqlite:///{tmp_path}/studies.db", "equal", values)
    draw_front(study, tmp_path / "front.png")
    assert pixels(tmp_path / "front.png").std() > 0
