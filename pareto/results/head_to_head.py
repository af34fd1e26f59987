"""Two studies of one problem against each other: what a fair comparison of two methods needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pareto.commands import study_command
from pareto.ledger import Trial, differing_fields
from pareto.results.empty_selection import MARK, MEANING, selects_nothing
from pareto.results.indicators import best_with_ta, common_ta, coverage, hypervolume_share
from pareto.study import Study
from unlearn.errors import InputError

METHOD_SECTIONS = ("method.", "space.")
"""What of a definition says how a problem is gone about."""


@dataclass(frozen=True)
class Side:
    """One of the two studies.

    Attributes:
        complete: how many trials are.
        front: how many of them are on the front.
        ceiling: of FRM; None if the study was not prepared.
        retrain_rte: what retraining costs, in seconds; 0 if the study was not prepared.
        hypervolume_share: of all complete trials, in the box of both studies.
        hypervolume_share_at_budget: of the first of them, as many as both studies have.
        dominated: the share of the front that trials of the other study dominate.
        best_frm, lowest_rte: the trials with the highest FRM and the lowest RTE among those whose
            TA is good enough.
    """

    study: str
    method: str
    complete: int
    front: int
    ceiling: float | None
    retrain_rte: float
    hypervolume_share: float
    hypervolume_share_at_budget: float
    dominated: float
    best_frm: Trial
    lowest_rte: Trial


@dataclass(frozen=True)
class HeadToHead:
    """Both sides, measured alike.

    Attributes:
        budget: the number of complete trials that both studies have.
        box_rte: where the box of the hypervolumes ends, in seconds: the larger cost of retraining.
        enough_ta: the TA that is good enough, in percent; see `indicators.common_ta`.
        caveats: what makes the comparison unfair, a sentence each.
    """

    sides: tuple[Side, Side]
    budget: int
    box_rte: float
    enough_ta: float
    caveats: tuple[str, ...]


def compare_fronts(study: Study, other: Study) -> HeadToHead:
    """Compare two studies of one storage.

    Raises:
        InputError: they are one, or of different problems, or one has no complete trial.
    """
    _refuse_unlike(study, other)
    values, others = study.values(), other.values()
    budget = min(len(values), len(others))
    box_rte = max(one.retrain_seconds for one in (study, other))
    enough_ta = common_ta(values, others)

    def side(one: Study, rival: Study) -> Side:
        complete, own = one.complete(), one.values()
        best_frm, lowest_rte = best_with_ta(own, enough_ta)
        return Side(
            study=one.name,
            method=one.definition["method"]["name"],
            complete=len(own),
            front=len(one.front()),
            ceiling=one.reference.get("ceiling"),
            retrain_rte=one.retrain_seconds,
            hypervolume_share=hypervolume_share(own, box_rte),
            hypervolume_share_at_budget=hypervolume_share(own[:budget], box_rte),
            dominated=coverage(rival.values(), own),
            best_frm=complete[best_frm],
            lowest_rte=complete[lowest_rte],
        )

    sides = side(study, other), side(other, study)
    return HeadToHead(
        sides,
        budget,
        box_rte,
        enough_ta,
        (*_caveats(study, other), *_empty_selections(sides)),
    )


def _refuse_unlike(study: Study, other: Study) -> None:
    if study.name == other.name:
        raise InputError(
            f"{study.name!r} is the study itself", "name another study of this storage"
        )
    one, two = (_problem(each.identity) for each in (study, other))
    differing = [
        f"{key} is {one.get(key)} and {two.get(key)}" for key in differing_fields(one, two)
    ]
    if differing:
        raise InputError(
            f"{study.name!r} and {other.name!r} are of different problems: {'; '.join(differing)}",
            "compare studies whose definitions differ in name, method and space only",
        )
    for each in (study, other):
        if not each.complete():
            raise InputError(
                f"the study {each.name!r} has no complete trial",
                f"search it first: {study_command('', each.name, each.storage)}",
            )


def _problem(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What of an identity both studies have to agree on."""
    return {
        key: value
        for key, value in identity.items()
        if key != "name" and not key.startswith(METHOD_SECTIONS)
    }


def _caveats(study: Study, other: Study) -> list[str]:
    caveats = []
    first, second = len(study.complete()), len(other.complete())
    if first != second:
        larger = study.name if first > second else other.name
        caveats.append(
            f"Budgets differ, {first} and {second} complete trials: all figures but the hypervolume"
            f" of the first {min(first, second)} favour {larger}."
        )
    if study.reference.get("runs") != other.reference.get("runs"):
        caveats.append(
            "FRM is measured against other retrained models in each; studies that share a"
            " --workspace have the same."
        )
    clocks = [", ".join(sorted(_clocks(each))) for each in (study, other)]
    if clocks[0] != clocks[1]:
        caveats.append(
            f"RTE tells devices apart, not methods: {study.name} counts seconds on {clocks[0]},"
            f" {other.name} on {clocks[1]}."
        )
    return caveats


def _empty_selections(sides: Sequence[Side]) -> list[str]:
    named = {
        f"Trial {trial.number} of {side.study}": trial
        for side in sides
        for trial in (side.best_frm, side.lowest_rte)
    }
    return [
        f"{name}, {MARK}: {MEANING}"
        for name, trial in named.items()
        if selects_nothing(trial.metrics)
    ]


def _clocks(study: Study) -> set[str]:
    """The devices whose seconds RTE counts: where it was calibrated, or else where trials ran."""
    runs = [study.calibrated_on] if study.calibrated_on else [t.run for t in study.complete()]
    return {f"{run['device']} of {run['host']}" for run in runs}
