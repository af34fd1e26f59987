"""Runs whose method has found no sample to work on: legal, but nothing was forgotten."""

from collections.abc import Iterable, Mapping, Sequence

MARK = "nothing selected"
MEANING = (
    "the parameters leave no sample to work on, so that no step is taken, and the model is the"
    " original one, pruned at most."
)


def selects_nothing(figures: Mapping[str, float]) -> bool:
    """Whether a run carries the flag `empty_selection`, by its figures: all of `kept_…` are 0."""
    kept = [value for name, value in figures.items() if name.startswith("kept_")]
    return bool(kept) and not any(kept)


def count_empty(runs: Iterable[Mapping[str, float]]) -> int:
    """How many runs have selected nothing."""
    return sum(map(selects_nothing, runs))


def empty_lines(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> list[str]:
    """What has to be known of configurations that select nothing, at least at times.

    Args:
        runs: the figures of each run, by the configuration's label.
    """
    empty = {label: count_empty(of) for label, of in runs.items()}
    listed = [f"{label} in {n} of {len(runs[label])} runs" for label, n in empty.items() if n]
    return [f"Nothing selected by {', '.join(listed)}: {MEANING}"] if listed else []
