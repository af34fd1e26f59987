"""A stand-in for unlearning: figures that are computed from ConMU's parameters at once.

It has the shape of the real thing, so that searches have the same to do: more noise on more
forgotten samples makes them forgotten and costs accuracy, fine-tuning on more retained samples
restores it and costs time, a longer trained proxy is nearer to retraining, and luck plays a part.
"""

import math
from collections.abc import Mapping
from random import Random
from statistics import NormalDist
from typing import Any

from pareto.trials.outcome import Outcome, Ticket

STEPS = 398
"""Test accuracy is a multiple of one in so many samples."""

RETRAINING: Mapping[str, Any] = {
    "mean": {"ta": 88.2, "fa": 87.9, "ra": 100.0, "mia": 40.2},
    "sd": {"ta": 0.6, "fa": 0.9, "ra": 0.0, "mia": 1.5},
    "seconds": 1.0,
    "ceiling": 0.95,
    "runs": [{"ta": 88.2, "fa": 87.9, "ra": 100.0, "mia": 40.2}] * 5,
}
ORIGINAL: Mapping[str, float] = {"ta": 88.9, "fa": 100.0, "ra": 100.0, "mia": 6.4}
PHASES = ("prune", "score", "select", "noise", "train", "distil", "finetune")


def unlearn(ticket: Ticket) -> Outcome:
    """The outcome of a trial, as `pareto.trials.runner` would record it."""
    params, luck = ticket.params, Random(ticket.seed)
    forget = _kept(params["forget_z1"], params["forget_z2"])
    retain = _kept(params["retain_z1"], params["retain_z2"])
    noise, proxy = params["alpha"], params["delta"] / 8
    forgotten = 1 - math.exp(-0.4 * noise * forget * params["sigma"])
    restored = 1 - math.exp(-0.35 * noise * retain)
    ta = 88 * (1 - 0.75 * forgotten * (1 - restored)) * (1 - 0.08 * proxy) + luck.gauss(0, 2.4)
    gap = abs(0.75 - forgotten * (1 - 0.3 * restored) - 0.2 * proxy)
    frm = 0.93 * math.exp(-1.6 * gap) * (1 - 0.1 * forgotten * (1 - restored)) + luck.gauss(0, 0.04)
    seconds = 0.03 + noise * (0.001 + 0.006 * forget + 0.018 * retain) + 0.35 * proxy
    mean = RETRAINING["mean"]
    figures = {"ta": round(ta / 100 * STEPS) / STEPS * 100, "fa": 100 - 12 * forgotten}
    figures |= {"ra": 100 - 9 * forgotten * (1 - restored), "mia": 6.4 + 60 * forgotten}
    phase = {"work": {"steps": 24, "samples": 3000}, "seconds": seconds / len(PHASES)}
    return Outcome(
        metrics={
            **figures,
            "frm": min(max(frm, 0.0), 1.0),
            **{f"{name}_gap": figures[name] - mean[name] for name in ("fa", "ra", "mia")},
            "ceiling": RETRAINING["ceiling"],
            "rte": seconds,
            "wall_seconds": seconds * 1.3,
            "stopwatch_seconds": seconds * 1.1,
            "kept_forget": round(300 * forget),
            "kept_retain": round(700 * retain),
        },
        run={
            "seed": ticket.seed,
            "fingerprint": "dff3db3a8a265749",
            "phases": dict.fromkeys(PHASES, phase),
            "flags": [],
            "host": "nowhere",
            "device": "cpu (x86_64)",
            "versions": {"pareto-search": "0.1.0", "torch": "2.15.0", "numpy": "2.4.6"},
        },
    )


def _kept(below: float, above: float) -> float:
    """The share of a normal distribution that lies so many deviations around its mean."""
    normal = NormalDist()
    return normal.cdf(above) - normal.cdf(-below)
