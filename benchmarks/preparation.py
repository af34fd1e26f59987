"""Preparing a study: from Enter to the first trial, and once more for the next driver.

    python -m benchmarks.preparation

The digits are prepared in an empty folder with an empty cache. Then a second command brings the
same study to one trial more: what it has to say before that was done twice.
"""

import re
from collections.abc import Iterator

from benchmarks._command import Settings, main
from benchmarks._program import TRIALS, Watched, empty_folder, watch
from benchmarks._report import Row

ROUNDS = 3


def measure(settings: Settings) -> Iterator[Row]:
    """On the digits."""
    runs: list[tuple[Watched, Watched]] = []
    for _ in range(1 if settings.quick else ROUNDS):
        with empty_folder() as folder:
            runs.append(
                (
                    watch(folder, "--budget", "1", "--device", settings.device),
                    watch(folder, "--budget", "2", "--device", settings.device),
                )
            )
    new = [first.first(TRIALS).at for first, _ in runs]
    yield Row.of("digits: from Enter to the trials", new, "s")
    yield from step_rows("digits", [first for first, _ in runs])
    again = [second.first(TRIALS).at for _, second in runs]
    twice = [text for text, _ in runs[0][1].steps()[1:]]
    notes = f"done or told again: {'; '.join(twice) or 'nothing'}"
    yield Row.of("digits: by the next driver", again, "s", notes=notes)


def step_rows(study: str, runs: list[Watched]) -> Iterator[Row]:
    """Each step of the preparation; steps that are announced alike are one."""
    total = sum(run.first(TRIALS).at for run in runs)
    grouped: dict[str, list[float]] = {}
    for run in runs:
        for text, seconds in run.steps():
            grouped.setdefault(re.sub(r", \d+ of \d+$", "", text), []).append(seconds)
    for name, times in grouped.items():
        share = 100 * sum(times) / total
        yield Row.of(f"{study}: {name}", times, "s", notes=f"{share:.1f} % of it")


if __name__ == "__main__":
    main("preparation", __doc__, measure)
