"""What experiments run: a method with its whole configuration, by whatever a user names it."""

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pydantic import ValidationError

import studies
from pareto.study import Study, open_study
from pareto.trials.plans import Cell
from studies import Definition
from studies.definition import config_of
from studies.mistakes import describe_error
from unlearn.errors import InputError
from unlearn.methods import METHODS, Method
from unlearn.methods.conmu import ConMUConfig
from unlearn.problem import Problem
from unlearn.pruning import prune
from unlearn.selection import bound_that_keeps, el2n

KEEP = "keep"
"""A derived parameter of ConMU: the share of D_f and of D_r that symmetric z-bounds keep."""
Z_BOUNDS = ("forget_z1", "forget_z2", "retain_z1", "retain_z2")
OMP = "+omp"
OMP_RATE = ConMUConfig().pruning_rate


@dataclass(frozen=True)
class Arm:
    """A method with its whole configuration, as JSON can hold it.

    Attributes:
        config: every field of the method's config; `keep` may stand in for ConMU's z-bounds.
    """

    method: str
    config: Mapping[str, Any]

    def cell(self, repeat: int) -> Cell:
        """Its run in one repeat."""
        return {"method": self.method, "config": dict(self.config), "repeat": repeat}


def whole_arm(method: str, values: Mapping[str, Any]) -> Arm:
    """An arm with the method's own defaults for what is not given.

    Args:
        values: parameters by name; `keep` is one of them, if the method has z-bounds.

    Raises:
        InputError: there is no such method or parameter, or it does not take such a value.
    """
    if method not in METHODS:
        raise InputError(f"no method is called {method!r}", f"use one of {', '.join(METHODS)}")
    known = [field.name for field in fields(METHODS[method].config)]
    if Z_BOUNDS[0] in known:
        known.append(KEEP)
    for name in values:
        if name not in known:
            raise InputError(
                f"{name!r} is no parameter of {method}", f"use one of {', '.join(known)}"
            )
    rest = dict(values)
    share = rest.pop(KEEP, None)
    try:
        config = asdict(config_of(METHODS[method], rest))
    except ValidationError as error:
        raise InputError(describe_error(error), f"give {method} another value") from None
    if share is None:
        return Arm(method, config)
    if not (isinstance(share, int | float) and 0 <= share <= 1):
        raise InputError(f"{KEEP} is {share}, which is no share", "give a share from 0 to 1")
    others = {name: value for name, value in config.items() if name not in Z_BOUNDS}
    return Arm(method, others | {KEEP: float(share)})


def arm_of_method(text: str, definition: Definition) -> Arm:
    """A method by name; `+omp` prunes θ_o before it (ConMU does so anyway).

    Its configuration is what the definition says of it, and otherwise the first known one; without
    a pruning rate there, or with 0, `+omp` prunes as in the paper.

    Raises:
        InputError: there is no such method, or it cannot be pruned.
    """
    name, pruned = text.removesuffix(OMP), text.endswith(OMP)
    if name not in METHODS or (name == "conmu" and pruned):
        known = [method + suffix for method in METHODS for suffix in ("", OMP)]
        known.remove(f"conmu{OMP}")
        raise InputError(f"there is no method {text!r}", f"use some of {', '.join(known)}")
    chosen = definition.with_method(name)
    points = chosen.starting_points()
    config = asdict(chosen.config(points[0] if points else {}))
    if name != "conmu":
        config["pruning_rate"] = (chosen.fixed.get("pruning_rate") or OMP_RATE) if pruned else 0.0
    return Arm(name, config)


def arm_of_trial(text: str, storage: str) -> tuple[Arm, Definition]:
    """A configuration that a search has found, `STUDY:NUMBER`, and what was searched.

    Raises:
        InputError: there is no such study, or no such complete trial.
    """
    study_name, _, number = text.rpartition(":")
    if not study_name or not number.isdecimal():
        raise InputError(f"{text!r} names no trial", "give STUDY:NUMBER, such as digits:141")
    return found_in(open_study(study_name, storage), int(number))


def found_in(study: Study, number: int) -> tuple[Arm, Definition]:
    """The configuration of a trial, and what was searched.

    Raises:
        InputError: there is no such complete trial.
    """
    trial = study.complete_trial(number)
    definition = studies.validate(dict(study.definition), f"the study {study.name!r}")
    return Arm(definition.unlearning.name, asdict(definition.config(trial.params))), definition


def configure(problem: Problem, cell: Cell) -> tuple[Method, Any]:
    """The method of a cell and its config; `keep` becomes z-bounds, by the scores of θ_o."""
    method, fields = METHODS[cell["method"]], dict(cell["config"])
    share = fields.pop(KEEP, None)
    if share is not None:
        pruned = copy.deepcopy(problem.original)
        prune(pruned, fields["pruning_rate"])
        for part, samples in (("forget", problem.forget), ("retain", problem.retain)):
            bound = bound_that_keeps(el2n(pruned, samples), share)
            fields |= {f"{part}_z1": bound, f"{part}_z2": bound}
    return method, config_of(method, fields)
