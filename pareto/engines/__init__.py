"""Where trials run. Every engine drives the same two calls of a `TrialSource`."""

from pareto.engines._contract import Announce, Engine, TrialSource
from pareto.engines.local import PoolEngine, SerialEngine

__all__ = ["Announce", "Engine", "PoolEngine", "SerialEngine", "TrialSource"]
