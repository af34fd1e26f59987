"""One trial: parameters in, figures out. Knows nothing of storages, samplers or engines."""

import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import torch
from pydantic import ValidationError

from objectives.evaluation import Evaluation, evaluate
from objectives.frm import frm_score, is_degenerate
from objectives.reference import Reference
from objectives.runtime import UnitTime, calibrated_seconds
from pareto.engines.devices import environment, use_one_thread
from pareto.preparation.prepared import WARM_UP_SAMPLES, Prepared
from pareto.trials.outcome import Failure, Outcome, Ticket
from studies.mistakes import describe_error
from unlearn.errors import in_one_line
from unlearn.methods import Method
from unlearn.problem import Problem
from unlearn.stopwatch import Stopwatch

TRIAL_FIGURES = frozenset(
    {"ta", "fa", "ra", "mia", "frm", "rte", "fa_gap", "ra_gap", "mia_gap", "ceiling"}
)
"""What a search may be told to look for: figures that every trial of every study has."""

Configure = Callable[[Problem, Mapping[str, Any]], tuple[Method, Any]]
"""What a ticket's parameters mean for a problem: a method, and its config."""


def make_runner(
    prepared: Prepared, unit_times: Mapping[str, UnitTime] | None, device: torch.device
) -> Callable[[Ticket], Outcome | Failure]:
    """What a worker runs a study's trials with; see `TrialRunner`."""
    use_one_thread()
    return TrialRunner(prepared, device, unit_times).run


class TrialRunner:
    """Runs trials of one study on one device."""

    def __init__(
        self,
        prepared: Prepared,
        device: torch.device,
        unit_times: Mapping[str, UnitTime] | None = None,
        configure: Configure | None = None,
    ) -> None:
        """
        Args:
            unit_times: the study's calibration; None where the stopwatch counts.
            configure: what parameters mean; None is what the study's definition says.
        """
        self._definition = prepared.material.definition
        self._configure = configure or self._as_defined
        self._reference = prepared.reference
        self._fingerprint = prepared.fingerprint
        self._unit_times = unit_times
        self._warm: set[str] = set()
        self._device = device
        self._problem = prepared.material.problem(prepared.original, device)
        self._sets = prepared.material.evaluation_sets(self._problem, prepared.test)
        self._precomputed = prepared.precomputed and prepared.precomputed.to(device)

    def run(self, ticket: Ticket) -> Outcome | Failure:
        """Run a trial; whatever goes wrong in it becomes a failure with its reason."""
        try:
            return self._run(ticket)
        except Exception as error:
            failure = Failure(describe(error), "".join(traceback.format_exception(error)))
        if self._device.type == "cuda":
            with suppress(RuntimeError):  # of an error after which a GPU does nothing any more
                torch.cuda.empty_cache()  # perhaps it lacked memory: leave none of it taken
        return failure

    def _run(self, ticket: Ticket) -> Outcome:
        method, config = self._configure(self._problem, ticket.params)
        if self._unit_times is None:
            self._warm_up(method, config)
        started = time.perf_counter()
        stopwatch = Stopwatch(self._device)
        unlearned = method.unlearn(self._problem, config, ticket.seed, stopwatch, self._precomputed)
        figures = evaluate(unlearned.model, self._sets, self._definition.objectives.attack)
        rte = stopwatch.seconds
        if self._unit_times is not None:
            rte = calibrated_seconds(stopwatch.phases, self._unit_times)
        flags = list(unlearned.flags)
        if is_degenerate(self._reference.mean):
            flags.append("degenerate_reference")
        return Outcome(
            metrics={
                **privacy_figures(figures, self._reference),
                "rte": rte,
                "wall_seconds": time.perf_counter() - started,
                "stopwatch_seconds": stopwatch.seconds,
                **{f"kept_{name}": float(size) for name, size in unlearned.sizes.items()},
            },
            run={
                "seed": ticket.seed,
                "fingerprint": self._fingerprint,
                "phases": {name: asdict(phase) for name, phase in stopwatch.phases.items()},
                "flags": flags,
                **environment(self._device),
            },
        )

    def _warm_up(self, method: Method, config: Any) -> None:
        """Where the stopwatch counts, run a method on a few samples before it is first timed: the
        first run in a process takes longer than any other, often many times as long."""
        if method.name in self._warm:
            return
        self._warm.add(method.name)
        few = torch.arange(WARM_UP_SAMPLES[self._device.type], device=self._device)
        problem = replace(
            self._problem,
            recipe=replace(self._problem.recipe, epochs=1),  # or retraining would be whole
            forget=self._problem.forget.take(few[: len(self._problem.forget)]),
            retain=self._problem.retain.take(few[: len(self._problem.retain)]),
        )
        method.unlearn(problem, config, 0, Stopwatch(self._device), None)

    def _as_defined(self, _problem: Problem, params: Mapping[str, Any]) -> tuple[Method, Any]:
        return self._definition.unlearning, self._definition.config(params)


def privacy_figures(figures: Evaluation, reference: Reference) -> dict[str, float]:
    """An evaluation's figures, FRM, the gaps to the reference, and the ceiling."""
    mean = reference.mean
    return {
        **figures.as_dict(),
        "frm": frm_score(figures.metrics, mean),
        "fa_gap": figures.fa - mean.fa,
        "ra_gap": figures.ra - mean.ra,
        "mia_gap": figures.mia - mean.mia,
        "ceiling": reference.ceiling,
    }


def describe(error: Exception) -> str:
    """An exception in one line."""
    if isinstance(error, ValidationError):
        return describe_error(error)
    return in_one_line(error)
