"""Choosing one trial of a study, or saying why none will do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pareto.choice.requirements import Requirement, violations
from pareto.defaults import PREFERENCES
from pareto.front import DIRECTIONS, OBJECTIVES, knee, non_dominated
from pareto.ledger import Trial
from unlearn.errors import InputError


@dataclass(frozen=True)
class Judgement:
    """One requirement against one trial.

    Attributes:
        left, right: the values of both sides; NaN if one has none.
        slack: how much is to spare (positive) or missing (negative), in the units of the left side.
        holds: whether the trial satisfies it; a `<` between equal sides has a slack of 0 too.
    """

    requirement: Requirement
    left: float
    right: float
    slack: float
    holds: bool

    @classmethod
    def of(cls, requirement: Requirement, figures: Mapping[str, float]) -> "Judgement":
        sides, slack = requirement.sides(figures), requirement.slack(figures)
        return cls(requirement, *sides, slack, requirement.holds(figures))


@dataclass(frozen=True)
class Pick:
    """A chosen trial.

    Attributes:
        judgements: each requirement, in the order given.
        prefer: what decided among the candidates.
        satisfying: how many trials satisfy all requirements.
        candidates: how many of these no other satisfying trial dominates.
    """

    trial: Trial
    judgements: tuple[Judgement, ...]
    prefer: str
    satisfying: int
    candidates: int

    @property
    def params(self) -> Mapping[str, object]:
        return self.trial.params

    @property
    def why(self) -> str:
        """The choice in a sentence."""
        what = {
            "ta": "has the highest test accuracy",
            "frm": "has the highest FRM",
            "rte": "has the lowest cost",
            "knee": "is the knee (the best balance of the three objectives)",
        }[self.prefer]
        if not self.judgements:
            return f"Trial {self.trial.number} {what} on the front."
        if self.satisfying == 1:
            return f"Trial {self.trial.number} is the only one that satisfies every requirement."
        if self.candidates == 1:
            what = "is as good as any in all three objectives"
        return (
            f"Trial {self.trial.number} {what} among the {self.satisfying} trials that satisfy"
            " every requirement."
        )


@dataclass(frozen=True)
class Obstacle:
    """A requirement that stands in the way.

    Attributes:
        satisfying: how many trials satisfy it alone.
        best_trial: the number of the trial that comes furthest on it.
        best: how that trial does on it.
    """

    satisfying: int
    best_trial: int
    best: Judgement


class NothingSatisfies(Exception):
    """No trial satisfies all requirements.

    Attributes:
        binding: the requirement that most stands in the way.
        obstacles: all of them, in the order given.
        nearest: the trial that misses them by least, with its judgements.
    """

    def __init__(
        self,
        binding: Obstacle,
        obstacles: Sequence[Obstacle],
        nearest: Trial,
        judgements: Sequence[Judgement],
    ) -> None:
        super().__init__(f"no trial satisfies {binding.best.requirement.text!r}")
        self.binding = binding
        self.obstacles = obstacles
        self.nearest = nearest
        self.judgements = judgements


def choose(
    trials: Sequence[Trial],
    constants: Mapping[str, float],
    requirements: Sequence[Requirement],
    prefer: str,
) -> Pick:
    """Choose a trial: of those that satisfy every requirement and that no other such trial
    dominates, the one that is best in the preferred respect.

    Ties go to the remaining objectives in the order TA, FRM, RTE, and then to the lower number.
    Trials off the front count too: a requirement may speak of a figure that is no objective.

    Args:
        trials: complete ones, at least one.
        constants: figures of the study that requirements may name.
        prefer: one of `pareto.defaults.PREFERENCES`.

    Raises:
        InputError: there is no such preference.
        NothingSatisfies: no trial satisfies them all.
    """
    if prefer not in PREFERENCES:
        raise InputError(f"nothing is preferred by {prefer!r}", f"use {', '.join(PREFERENCES)}")
    figures = [{**constants, **trial.metrics} for trial in trials]
    satisfying = [
        trial
        for trial, known in zip(trials, figures, strict=True)
        if all(requirement.holds(known) for requirement in requirements)
    ]
    if not satisfying:
        raise _explain(trials, figures, requirements)
    values = np.array([trial.values for trial in satisfying])
    candidates = np.flatnonzero(non_dominated(values, DIRECTIONS))
    losses = np.where(np.array(DIRECTIONS) == "maximize", -values, values)
    first = knee(values, DIRECTIONS) if prefer == "knee" else OBJECTIVES.index(prefer)
    assert first is not None

    def rank(row: int) -> tuple[float, ...]:
        preferred = float(row != first) if prefer == "knee" else float(losses[row, first])
        return (preferred, *map(float, losses[row]), satisfying[row].number)

    chosen = satisfying[min(map(int, candidates), key=rank)]
    known = {**constants, **chosen.metrics}
    return Pick(
        chosen,
        tuple(Judgement.of(requirement, known) for requirement in requirements),
        prefer,
        len(satisfying),
        len(candidates),
    )


def _explain(
    trials: Sequence[Trial],
    figures: Sequence[Mapping[str, float]],
    requirements: Sequence[Requirement],
) -> NothingSatisfies:
    """The nearest trial misses least in sum, each shortfall measured in the range over which the
    trials vary; binding is what no trial satisfies alone, or else what the nearest misses most."""
    violated = violations(figures, requirements)
    shortfall = np.maximum(violated, 0.0)
    nearest = int(np.argmin(shortfall.sum(axis=1)))
    obstacles = []
    for column, requirement in enumerate(requirements):
        best = int(np.argmin(violated[:, column]))
        obstacles.append(
            Obstacle(
                satisfying=int((violated[:, column] <= 0).sum()),
                best_trial=trials[best].number,
                best=Judgement.of(requirement, figures[best]),
            )
        )

    def hindrance(column: int) -> tuple[bool, float]:
        return obstacles[column].satisfying == 0, float(shortfall[nearest, column])

    return NothingSatisfies(
        obstacles[max(range(len(obstacles)), key=hindrance)],
        obstacles,
        trials[nearest],
        [Judgement.of(requirement, figures[nearest]) for requirement in requirements],
    )
