"""The main job: `pareto-search --budget 200` on the digits, from Enter to the front.

    python -m benchmarks.main_job

It runs as a whole program in an empty folder with an empty cache. Where its seconds go is told
from outside, by what it announces, by what the storage keeps of each trial, and by the processor
time of the driver.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from benchmarks._command import Settings, main
from benchmarks._program import TRIALS, Watched, empty_folder, watch
from benchmarks._report import Row
from benchmarks.preparation import step_rows

BUDGET, QUICK = 200, 20
IMPORTS = "import pareto.search_loop, pareto.cli._progress, pareto.cli.show, pareto.results.export"
"""What the program imports before it does anything."""


def measure(settings: Settings) -> Iterator[Row]:
    """On the digits, with as many workers as the program takes by itself."""
    budget = QUICK if settings.quick else BUDGET
    yield Row.of("digits: imports alone", [seconds_of_imports() for _ in range(3)], "s")
    with empty_folder() as folder:
        run = watch(folder, "--budget", str(budget), "--device", settings.device)
        trials = complete_trials(folder)
    yield from step_rows("digits", [run])
    yield from trial_rows(run, trials, budget)


def seconds_of_imports() -> float:
    """In a process of their own."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.perf_counter() - began


def complete_trials(folder: Path) -> list[FrozenTrial]:
    """Of the only study in a folder."""
    url = f"sqlite:///{folder / 'pareto-search.db'}"
    study = optuna.load_study(study_name=None, storage=url)
    return study.get_trials(states=(TrialState.COMPLETE,))


def trial_rows(run: Watched, trials: Sequence[FrozenTrial], budget: int) -> Iterator[Row]:
    """The trials, what else was done at that time, the ending, and the whole.

    Args:
        trials: the run's, all of them complete.
    """
    start, end = run.first(TRIALS), run.first(f"{budget}/{budget} complete")
    workers = int(start.text.removeprefix(TRIALS).split()[1])
    seconds = [float(trial.user_attrs["metrics"]["wall_seconds"]) for trial in trials]
    lasted = end.at - start.at

    def share(part: float) -> str:
        return f"{100 * part / run.seconds:.1f} % of the whole"

    def row(what: str, value: float, notes: str) -> Row:
        return Row.of(f"digits: {what}", [value], "s", notes=notes)

    yield row("preparation", start.at, share(start.at))
    yield row(f"{len(trials)} trials, {workers} workers", lasted, share(lasted))
    began = sorted(first_moments(run, trials, seconds))[:workers]
    waited = statistics.fmean(began) - start.at
    yield row("of these, start of the workers", waited, share(waited))
    busy = sum(seconds) / workers
    yield row("of these, a worker at work", busy, f"{100 * busy / lasted:.1f} % of these")
    idle = lasted - waited - busy
    yield row("of these, a worker idle", idle, f"{100 * idle / lasted:.1f} % of these")
    used = end.cpu - start.cpu
    each = f"{1000 * used / len(trials):.0f} ms per trial, while workers work"
    yield row("sampler, storage and progress, processor time", used, each)
    yield Row.of("digits: a trial", seconds, "s")
    ending = run.seconds - end.at
    yield row("ending: workers, tables, pictures", ending, share(ending))
    yield row("from Enter to the end", run.seconds, f"{workers} workers")


def first_moments(
    run: Watched, trials: Sequence[FrozenTrial], seconds: Sequence[float]
) -> list[float]:
    """When the workers began with each trial, in seconds since the program was started."""
    moments = []
    for trial, lasted in zip(trials, seconds, strict=True):
        assert trial.datetime_complete is not None
        began = trial.datetime_complete - timedelta(seconds=lasted)
        moments.append((began - run.began).total_seconds())
    return moments


if __name__ == "__main__":
    main("main_job", __doc__, measure)
