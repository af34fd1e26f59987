"""Experiments: what they run, and what is left of them in a storage."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from optuna.trial import FrozenTrial

from pareto.experiments.arms import Arm
from pareto.trials.plans import cell_key
from unlearn.methods import METHODS


def arm(method: str, **changes: Any) -> Arm:
    """A method with some knobs turned, and everything else as its config has it."""
    return Arm(method, asdict(METHODS[method].config(**changes)))


def keeping(share: float, **changes: Any) -> Arm:
    """ConMU with symmetric z-bounds that keep a share of the samples."""
    config = {k: v for k, v in arm("conmu", **changes).config.items() if "_z" not in k}
    return Arm("conmu", {**config, "keep": share})


def once(arms: Sequence[Arm], repeats: int) -> Counter[str]:
    """Every cell of an experiment, by its key, complete once."""
    return Counter(cell_key(one.cell(repeat)) for one in arms for repeat in range(repeats))


def times_complete(trials: Sequence[FrozenTrial]) -> Counter[str]:
    """How often each cell is complete, by its key."""
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    return Counter(cell_key(trial.user_attrs["cell"]) for trial in complete)
