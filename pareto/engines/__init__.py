"""Where trials run. Every engine drives the same calls of a `Source`."""

from pareto.engines._contract import INTERRUPTED, Announce, Engine, TrialSource, Workers
from pareto.engines.local import PoolEngine, SerialEngine

__all__ = [
    "INTERRUPTED",
    "Announce",
    "Engine",
    "PoolEngine",
    "SerialEngine",
    "TrialSource",
    "Workers",
]
