"""Calibration: the unit times of a study's method on a device, which turn counted work into its
runtime (RTE)."""

from dataclasses import fields, replace
from functools import partial
from typing import Any

import torch

from objectives import runtime
from objectives.runtime import UnitTime
from pareto.engines.devices import environment
from pareto.preparation.prepared import Prepared, seconds_of_retraining
from pareto.sampling.space import at_fraction
from unlearn.problem import Precomputed
from unlearn.recording import replays
from unlearn.stopwatch import Phase, Stopwatch, Work

PROBES = (0.05, 0.1, 0.2, 0.35, 0.6)
"""Where in the search space the runtime is calibrated, from low ends to high ends."""

PROXY_EPOCHS = 3
"""Of the proxy that a calibration trains, at most: the first epoch takes longer than all others."""

RETRAINING = "an epoch of retraining"
"""The phase that is timed beside those of the method."""

TIMES = 3
"""How often at most, in each round; its median counts."""


def depends_on(prepared: Prepared, device: torch.device) -> dict[str, Any]:
    """What unit times depend on beside the problem: the method, where it runs, and the price of
    retraining that they are told in."""
    identity = prepared.material.definition.identity()
    method = {k: v for k, v in identity.items() if k.startswith(("method.", "space."))}
    return {
        **method,
        **environment(device),
        "retraining": prepared.reference.seconds,
        "prices": [field.name for field in fields(UnitTime)],  # other versions have others
    }


def calibrate(prepared: Prepared, device: torch.device) -> dict[str, UnitTime]:
    """The method's unit times on this device, which has nothing else to do.

    They are told in terms of the price that retraining has in the study: machines are faster at
    some times than at others, and `rte <= 0.5 * retrain_rte` should say the same at any. So are
    then the costs of several methods that were calibrated on different days.
    """
    measured = unit_times(prepared, device)
    epoch, epochs = measured.pop(RETRAINING).step, prepared.material.definition.recipe.epochs
    scale = prepared.reference.seconds / (epochs * epoch)
    return {name: unit.scaled(scale) for name, unit in measured.items()}


def unit_times(prepared: Prepared, device: torch.device) -> dict[str, UnitTime]:
    """Measure the method's unit times, and by turns with them that of `RETRAINING`.

    The smallest probes make scores and proxies themselves: one with some epochs of the proxy's
    training, one with none and, where a training's beginning has a price of its own, one with one.
    The others get them free of charge, because the cost that is recorded of them may have been
    measured elsewhere, or at a busier time.
    """
    definition = prepared.material.definition
    problem = prepared.material.problem(prepared.original, device)
    configs = [definition.config(at_fraction(definition.ranges, f)) for f in PROBES]
    shared: list[Precomputed | None] = [None] * len(configs)
    if prepared.precomputed is not None:
        longest = min(PROXY_EPOCHS, definition.longest_delta())
        deltas = (longest, 0, min(1, longest)) if replays(device) else (longest, 0)
        for number, delta in enumerate(deltas):
            configs[number] = replace(configs[number], delta=delta)
        free = prepared.precomputed.to(device).free_of_charge()
        shared[len(deltas) :] = [free] * (len(configs) - len(deltas))

    def probe(config: Any, precomputed: Precomputed | None) -> Stopwatch:
        stopwatch = Stopwatch(device)
        definition.unlearning.unlearn(problem, config, 0, stopwatch, precomputed)
        return stopwatch

    def retraining() -> Stopwatch:
        seconds = seconds_of_retraining(problem, TIMES)
        stopwatch = Stopwatch(device)
        stopwatch.charge(RETRAINING, Phase(Work(steps=1), seconds / problem.recipe.epochs))
        return stopwatch

    probes = [partial(probe, *each) for each in zip(configs, shared, strict=True)]
    return runtime.calibrate([*probes, retraining], replays=replays(device))
