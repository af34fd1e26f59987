"""Calibration: the unit times of a study's method on a device, which turn counted work into its
runtime (RTE)."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch

from objectives import runtime
from objectives.runtime import UnitTime
from pareto.engines.devices import environment
from pareto.preparation.prepared import Prepared
from pareto.sampling.space import at_fraction
from studies import Definition
from unlearn.problem import Precomputed
from unlearn.stopwatch import Stopwatch

PROBES = (0.05, 0.1, 0.2, 0.35, 0.6)
"""Where in the search space the runtime is calibrated, from low ends to high ends."""

PROXY_EPOCHS = 3
"""Of the proxy that a calibration trains, at most: the first epoch takes longer than all others."""


def depends_on(definition: Definition, device: torch.device) -> dict[str, Any]:
    """What unit times depend on beside the problem: the method, and where it runs."""
    identity = definition.identity()
    method = {k: v for k, v in identity.items() if k.startswith(("method.", "space."))}
    return {**method, **environment(device)}


def calibrate(prepared: Prepared, device: torch.device) -> dict[str, UnitTime]:
    """Measure the method's unit times on this device, which has nothing else to do.

    The two smallest probes make scores and proxies themselves, one with some epochs of the proxy's
    training and one with none; the others get them free of charge, because the cost that is
    recorded of them may have been measured elsewhere, or at a busier time.
    """
    definition = prepared.material.definition
    problem = prepared.material.problem(prepared.original, device)
    configs = [definition.config(at_fraction(definition.ranges, f)) for f in PROBES]
    shared: list[Precomputed | None] = [None] * len(configs)
    if prepared.precomputed is not None:
        longest = min(PROXY_EPOCHS, definition.longest_delta())
        configs[:2] = replace(configs[0], delta=longest), replace(configs[1], delta=0)
        shared[2:] = [prepared.precomputed.to(device).free_of_charge()] * len(configs[2:])

    def probe(config: Any, precomputed: Precomputed | None) -> Stopwatch:
        stopwatch = Stopwatch(device)
        definition.unlearning.unlearn(problem, config, 0, stopwatch, precomputed)
        return stopwatch

    return runtime.calibrate([partial(probe, *each) for each in zip(configs, shared, strict=True)])
