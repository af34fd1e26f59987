"""Where trials run. Every engine drives the same two calls of a `TrialSource`."""

from pareto.engines._contract import Engine, TrialSource
from pareto.engines.local import PoolEngine, SerialEngine

__all__ = ["Engine", "PoolEngine", "SerialEngine", "TrialSource"]
