"""Unit times are measured once per machine and problem, and then remembered."""

from pathlib import Path

import pytest

from objectives.runtime import UnitTime
from pareto.calibration import remembered_unit_times

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
    remembered_unit_times({"device": "cpu"}, measure, print)
    assert remembered_unit_times({"device": "cpu"}, refuse, print) == MEASURED


@pytest.mark.usefixtures("cache")
def test_another_device_is_measured_anew() -> None:
    remembered_unit_times({"device": "cpu"}, measure, print)
    other = {"train": UnitTime(1.0, 1.0)}
    assert remembered_unit_times({"device": "cuda:0"}, lambda: other, print) == other


@pytest.mark.parametrize("content", ["", "[]", '{"train": 3}', '{"train": {"step": 1}}', "{"])
def test_a_damaged_file_is_measured_anew(content: str, cache: Path) -> None:
    remembered_unit_times({}, measure, print)
    (file,) = cache.iterdir()
    file.write_text(content)
    assert remembered_unit_times({}, measure, print) == MEASURED
    assert remembered_unit_times({}, refuse, print) == MEASURED


def test_without_a_place_to_keep_them_the_times_are_used_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    said: list[str] = []
    assert remembered_unit_times({}, measure, said.append) == MEASURED
    assert "cannot be kept" in said[-1]
