"""What commands leave behind for people to look at: pictures and tables.

Pictures bring matplotlib along, which takes a second to load: only what draws imports them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pareto.results.records import csv_text, trial_row
from pareto.study import Study
from unlearn.errors import InputError
from unlearn.files import write_at_once

if TYPE_CHECKING:  # they bring torch along, which reading a study does not need
    from pareto.experiments.comparison import Comparison
    from pareto.experiments.sweep import Sweep


def results_folder(name: str) -> Path:
    """Where the results of a study go, in the working directory; it is made when they are written.

    Raises:
        InputError: a file of that name is in the way.
    """
    folder = Path(name)
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"the results go to a folder {folder}, but that is a file", "move it out of the way"
        )
    return folder


def write_reports(study: Study, folder: Path) -> list[Path]:
    """Write `front.png`, `front.csv` and `trials.csv` to a folder, replacing older ones.

    Returns:
        The files.

    Raises:
        InputError: they cannot be written.
    """
    from pareto.figures import draw_front

    marks = study.marks()
    picture, front, trials = (folder / n for n in ("front.png", "front.csv", "trials.csv"))
    with _written_to(folder):
        draw_front(study, picture)
        _write_table([trial_row(trial, marks) for trial in study.front()], front)
        _write_table([trial_row(trial, marks) for trial in study.trials()], trials)
    return [picture, front, trials]


def write_against(study: Study, other: Study, folder: Path) -> Path:
    """Write `<study>-against-<other>.png` to a folder, replacing an older one.

    Returns:
        The file.

    Raises:
        InputError: it cannot be written.
    """
    from pareto.figures import draw_against

    file = folder / f"{study.name}-against-{other.name}.png"
    with _written_to(folder):
        draw_against(study, other, file)
    return file


def write_comparison(comparison: "Comparison", folder: Path) -> list[Path]:
    """Write `comparison.png` and `comparison.csv` to a folder, replacing older ones.

    Returns:
        The files.

    Raises:
        InputError: they cannot be written.
    """
    from pareto.figures import draw_comparison

    picture, table = folder / "comparison.png", folder / "comparison.csv"
    with _written_to(folder):
        draw_comparison(comparison, picture)
        _write_table(comparison.table(), table)
    return [picture, table]


def write_sweep(sweep: "Sweep", folder: Path) -> list[Path]:
    """Write a picture and a table, named after what was swept, replacing older ones.

    Returns:
        The files.

    Raises:
        InputError: they cannot be written.
    """
    from pareto.figures import draw_sweep

    stem = "-".join(levels.name for levels in sweep.swept)
    picture, table = folder / f"{stem}.png", folder / f"{stem}.csv"
    with _written_to(folder):
        draw_sweep(sweep, picture)
        _write_table(sweep.table(), table)
    return [picture, table]


def _write_table(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    write_at_once(file, csv_text(rows).encode())


@contextmanager
def _written_to(folder: Path) -> Iterator[None]:
    """Make the folder, and raise what goes wrong in the block as an InputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(
            f"cannot write into {folder}: {error.strerror}",
            "run it in a folder that you may write to, and see that there is room",
        ) from None
