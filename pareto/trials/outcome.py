"""What comes of a trial: figures, or the reason why there are none."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pareto.front import OBJECTIVES


@dataclass(frozen=True)
class Outcome:
    """A completed trial.

    Attributes:
        metrics: every figure by name, in percent, seconds or shares; TA, FRM and RTE among them.
        run: how it came about: seed, phases, flags, fingerprint, host, device, versions.
    """

    metrics: Mapping[str, float]
    run: Mapping[str, Any]

    @property
    def values(self) -> list[float]:
        """The objective values, in the order of `OBJECTIVES`."""
        return [self.metrics[name] for name in OBJECTIVES]

    def defect(self) -> str | None:
        """Why this is no valid outcome, or None if it is one."""
        for name in OBJECTIVES:
            value = self.metrics.get(name)
            if value is None:
                return f"objective {name} is missing"
            if not math.isfinite(value):
                return f"objective {name} is {value}"
        return None


def is_recorded(attributes: Mapping[str, Any]) -> bool:
    """Whether a complete trial with these attributes has been run by a search; another program may
    have entered it, with attributes of its own."""
    metrics = attributes.get("metrics")
    return (
        isinstance(metrics, dict)
        and all(isinstance(metrics.get(name), int | float) for name in OBJECTIVES)
        and isinstance(attributes.get("run"), dict)
    )


@dataclass(frozen=True)
class Failure:
    """A trial without figures.

    Attributes:
        reason: one line.
        traceback: where it happened, if it was an exception.
        lost: the trial did not fail of itself, but whoever ran it is gone; it deserves a new try.
    """

    reason: str
    traceback: str = ""
    lost: bool = False


@dataclass(frozen=True)
class Ticket:
    """A trial to run.

    Attributes:
        number: of the trial in its study.
        params: parameter values by name.
        seed: of everything random in the trial.
    """

    number: int
    params: Mapping[str, Any]
    seed: int
