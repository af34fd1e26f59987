"""What is measured once per machine and problem is remembered."""

from pathlib import Path

import pytest

from objectives.runtime import UnitTime
from pareto.preparation.measurements import EPOCH_OF_RETRAINING, UNIT_TIMES, remembered

MEASURED = {"train": UnitTime(1 / 3, 2e-5)}


def measure() -> dict[str, UnitTime]:
    return MEASURED


def refuse() -> dict[str, UnitTime]:
    raise AssertionError("measured again")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pareto-search"


@pytest.mark.usefixtures("cache")
def test_a_second_call_gives_the_first_ones_times_to_the_last_bit() -> None:
    remembered(UNIT_TIMES, {"device": "cpu"}, measure, print)
    assert remembered(UNIT_TIMES, {"device": "cpu"}, refuse, print) == MEASURED


@pytest.mark.usefixtures("cache")
def test_it_is_said_when_something_is_measured_and_where_unit_times_are_from() -> None:
    said: list[str] = []
    for _ in range(2):
        remembered(UNIT_TIMES, {}, measure, said.append)
        assert remembered(EPOCH_OF_RETRAINING, {}, lambda: 0.1, said.append) == 0.1
    made, timed, read = said
    assert made == "calibrating the runtime"
    assert timed == "timing an epoch of retraining"
    assert Path(read.removeprefix("the runtime was calibrated before: ")).exists()


@pytest.mark.usefixtures("cache")
def test_another_device_is_measured_anew() -> None:
    remembered(UNIT_TIMES, {"device": "cpu"}, measure, print)
    other = {"train": UnitTime(1.0, 1.0)}
    assert remembered(UNIT_TIMES, {"device": "cuda:0"}, lambda: other, print) == other


@pytest.mark.parametrize("content", ["", "[]", '{"train": 3}', '{"train": {"step": 1}}', "{"])
def test_a_damaged_file_is_measured_anew(content: str, cache: Path) -> None:
    remembered(UNIT_TIMES, {}, measure, print)
    (file,) = cache.iterdir()
    file.write_text(content)
    assert remembered(UNIT_TIMES, {}, measure, print) == MEASURED
    assert remembered(UNIT_TIMES, {}, refuse, print) == MEASURED


def test_without_a_place_to_keep_them_the_times_are_used_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    said: list[str] = []
    assert remembered(UNIT_TIMES, {}, measure, said.append) == MEASURED
    assert "cannot be kept" in said[-1]
