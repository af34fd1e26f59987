"""Two studies over each other."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import label

from pareto.figures import draw_against
from tests.pareto.figures.pictures import pixels, shows
from tests.pareto.recorded import Values, record, reference

BLUE, VERMILION = "#0072b2", "#d55e00"
ONE: list[Values] = [(90, 0.8, 3), (80, 0.7, 1), (70, 0.1, 9)]
OTHER: list[Values] = [(95, 0.6, 30), (85, 0.5, 10)]


def draw(folder: Path, ones: list[Values], others: list[Values], seconds: float) -> Path:
    url, file = f"journal:///{folder}/studies.journal", folder / "against.png"
    one = record(url, "one", ones, "conmu", notes={"reference": reference(60)})
    other = record(url, "other", others, notes={"reference": reference(seconds)})
    draw_against(one, other, file)
    return file


def panels(file: Path) -> list[NDArray[np.uint8]]:
    """The three panels, without the legend beneath."""
    picture = pixels(file)
    return np.array_split(picture[: int(0.8 * len(picture))], 3, axis=1)


def test_both_fronts_are_in_all_panels(tmp_path: Path) -> None:
    for panel in panels(draw(tmp_path, ONE, OTHER, 60)):
        assert shows(panel, BLUE)
        assert shows(panel, VERMILION)


def test_trials_off_the_front_are_faint(tmp_path: Path) -> None:
    # Of the second study only (99, .99, 1) is on the front, far from its other trial.
    *_, panel = panels(draw(tmp_path, ONE, [(99, 0.99, 1), (10, 0.1, 50)], 60))
    left = panel[:, : panel.shape[1] // 2]
    assert not shows(left, VERMILION)
    assert shows(panel, VERMILION)
    assert (left.max(axis=2) - left.min(axis=2)).max() > 40  # it is there, and not grey


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[(80, 0.5, 2)], [(80, 0.5, 2)] * 3])
def test_a_single_trial_or_equal_ones_are_drawn_too(values: list[Values], tmp_path: Path) -> None:
    assert pixels(draw(tmp_path, values, values, 60)).std() > 0


@pytest.mark.filterwarnings("error")
def test_studies_that_were_not_prepared_are_drawn_too(tmp_path: Path) -> None:
    one, other = (
        record(f"journal:///{tmp_path}/x.journal", name, ONE) for name in ("one", "other")
    )
    draw_against(one, other, tmp_path / "against.png")
    assert shows(pixels(tmp_path / "against.png"), VERMILION)


def stars(picture: NDArray[np.uint8]) -> int:
    """How many things are so thick and black as no line or letter is."""
    windows = np.lib.stride_tricks.sliding_window_view(picture.max(axis=2), (5, 5))
    _, count = label((windows < 64).all(axis=(2, 3)), np.ones((3, 3)))
    return int(count)


@pytest.mark.parametrize(("seconds", "expected"), [(60, [1, 1, 1]), (5, [2, 2, 1])])
def test_different_references_have_a_star_each(
    seconds: float, expected: list[int], tmp_path: Path
) -> None:
    # They differ in what they cost, which the last panel doesn't show.
    file = draw(tmp_path, ONE, OTHER, seconds)
    assert [stars(panel) for panel in panels(file)] == expected
