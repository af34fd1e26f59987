"""What a search is meant to find: trials that satisfy requirements."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from pareto.choice.requirements import Requirement, violations
from pareto.trials.outcome import is_recorded


@dataclass(frozen=True)
class Aim:
    """Requirements that a sampler is told of, as Optuna's constraints. They are kept in no storage,
    so that the next run of the search may aim elsewhere.

    Attributes:
        constants: figures of the study that requirements may name.
    """

    requirements: Sequence[Requirement]
    constants: Mapping[str, float]

    def met_by(self, metrics: Mapping[str, float]) -> bool:
        """Whether a trial of these figures satisfies every requirement."""
        figures = {**self.constants, **metrics}
        return all(requirement.holds(figures) for requirement in self.requirements)

    def told_of(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The trials, the complete ones as copies that say how far they miss what is aimed at;
        without those that another program has entered, of which no figures are known."""
        ours = [t for t in trials if t.state != TrialState.COMPLETE or is_recorded(t.user_attrs)]
        complete = [trial for trial in ours if trial.state == TrialState.COMPLETE]
        figures = [{**self.constants, **trial.user_attrs["metrics"]} for trial in complete]
        missed = iter(violations(figures, self.requirements).tolist())
        return [
            _constrained(trial, next(missed)) if trial.state == TrialState.COMPLETE else trial
            for trial in ours
        ]


def _constrained(trial: FrozenTrial, missed: Sequence[float]) -> FrozenTrial:
    trial = copy.copy(trial)  # the storage's own must not change
    trial.system_attrs = dict(trial.system_attrs)
    for number, amount in enumerate(missed):
        trial.set_constraint(str(number), amount)
    return trial
