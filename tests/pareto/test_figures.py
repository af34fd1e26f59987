"""Pictures that can be opened, whatever the study looks like."""

from pathlib import Path

import numpy as np
import pytest
from optuna.storages import InMemoryStorage
from PIL import Image

from pareto.figures import draw_front
from pareto.ledger import Ledger
from pareto.outcome import Outcome
from pareto.study import Study
from tests.pareto.cheap import SEED, open_ledger
from tests.pareto.home import Home


def pixels(file: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    with Image.open(file) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def test_the_front_of_a_search_is_drawn(finished: Home, tmp_path: Path) -> None:
    draw_front(finished.study(), tmp_path / "front.png")
    drawn = pixels(tmp_path / "front.png")
    assert min(drawn.shape[:2]) > 500
    orange = (drawn == (0xC2, 0x41, 0x0C)).all(axis=2)
    halves = [half for rows in np.array_split(orange, 2) for half in np.array_split(rows, 2, 1)]
    assert all(half.any() for half in halves)  # the front is in each of the four panels


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [[(80, 0.5, 2)], [(80, 0.5, 2)] * 3])
def test_a_single_trial_or_equal_ones_are_drawn_too(
    rows: list[tuple[float, float, float]], tmp_path: Path
) -> None:
    ledger: Ledger = open_ledger(InMemoryStorage())
    for ta, frm, rte in rows:
        ticket = ledger.ask(9, SEED)
        assert ticket is not None
        ledger.complete(ticket, Outcome({"ta": ta, "frm": frm, "rte": rte}, {}))
    draw_front(Study(ledger, "sqlite:///x.db"), tmp_path / "front.png")
    assert pixels(tmp_path / "front.png").std() > 0
