"""What a search leaves behind for people to look at: a picture and two tables."""

from pathlib import Path

from pareto.figures import draw_front
from pareto.records import csv_text, trial_row
from pareto.study import Study


def write_reports(study: Study, folder: Path) -> list[Path]:
    """Write `front.png`, `front.csv` and `trials.csv` to a folder, replacing older ones.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    marks = study.marks()
    picture, front, trials = (folder / n for n in ("front.png", "front.csv", "trials.csv"))
    draw_front(study, picture)
    front.write_text(csv_text([trial_row(trial, marks) for trial in study.front()]), "utf-8")
    trials.write_text(csv_text([trial_row(trial, marks) for trial in study.trials()]), "utf-8")
    return [picture, front, trials]
