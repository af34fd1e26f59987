"""The files that a search leaves behind."""

import csv
from pathlib import Path

from PIL import Image

from pareto.results.export import write_reports
from tests.pareto.conftest import TRIALS
from tests.pareto.home import Home


def rows(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines()))


def test_a_picture_and_two_tables_are_written_and_older_ones_replaced(
    finished: Home, tmp_path: Path
) -> None:
    (tmp_path / "front.csv").write_text("old")
    written = write_reports(finished.study(), tmp_path)
    assert [file.name for file in written] == ["front.png", "front.csv", "trials.csv"]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert rows(tmp_path / "front.csv")
    with Image.open(tmp_path / "front.png") as picture:
        picture.verify()


def test_the_tables_hold_what_the_study_holds(finished: Home, tmp_path: Path) -> None:
    study = finished.study()
    _, front, trials = write_reports(study, tmp_path / "new")
    assert [int(row["number"]) for row in rows(front)] == [t.number for t in study.front()]
    assert [int(row["number"]) for row in rows(trials)] == list(range(TRIALS))
    for row, trial in zip(rows(trials), study.trials(), strict=True):
        assert trial.values == (float(row["ta"]), float(row["frm"]), float(row["rte"]))
