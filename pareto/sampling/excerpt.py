"""What a sampler learns from: of a big study an excerpt, so that it goes on proposing quickly."""

import copy
from collections.abc import Container, Sequence

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from pareto.front import DIRECTIONS, non_dominated


class Excerpt(optuna.Study):
    """A study of which only some trials are seen, as they stood at one moment."""

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        super().__init__(study.study_name, study._storage, study.sampler, study.pruner)
        self._seen = trials

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        seen = [trial for trial in self._seen if states is None or trial.state in states]
        return copy.deepcopy(seen) if deepcopy else seen


def telling(trials: Sequence[FrozenTrial], enough: int) -> list[FrozenTrial]:
    """The trials of a study that there is most to learn from, by number.

    All of them, unless more than `enough` are complete. Of these, so many are chosen: those on the
    front, or the latest of them if they would be more than half, and the latest of the others.

    Args:
        trials: all of the study, by number.
        enough: at least 2.
    """
    complete = [row for row, trial in enumerate(trials) if trial.state == TrialState.COMPLETE]
    if len(complete) <= enough:
        return list(trials)
    on_front = non_dominated([trials[row].values for row in complete], DIRECTIONS)
    front = [row for row, kept in zip(complete, on_front, strict=True) if kept][-(enough // 2) :]
    rest = np.setdiff1d(complete, front)[-(enough - len(front)) :]
    left_out = set(complete).difference(front, rest.tolist())
    return [trial for row, trial in enumerate(trials) if row not in left_out]
