"""What every method looks like from outside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unlearn.problem import Precomputed, Problem, Unlearned
from unlearn.stopwatch import Stopwatch

Value = int | float | str | bool


@dataclass(frozen=True)
class IntRange:
    """All integers from `low` to `high`, both included; `log` samples their logarithm."""

    low: int
    high: int
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high


@dataclass(frozen=True)
class FloatRange:
    """The real numbers from `low` to `high`, both included; `log` samples their logarithm."""

    low: float
    high: float
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of a few unordered values."""

    choices: tuple[Value, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.choices


Range = IntRange | FloatRange | Choice


@dataclass(frozen=True)
class StartingPoint:
    """A configuration known from the literature, which a search tries first.

    Attributes:
        request: `random` or `class`, the kind of request it was found for.
        params: values by parameter name.
    """

    request: str
    params: Mapping[str, Value]


@dataclass(frozen=True)
class Method:
    """An unlearning method.

    Attributes:
        name: as a definition names it.
        config: a frozen dataclass with a default for every field; it raises ValueError, naming
            the field, on values that make no sense.
        space: what a search varies unless the definition says otherwise.
        unlearn: (problem, config, seed, stopwatch, precomputed or None) -> outcome. It is a pure
            function of its arguments but for the stopwatch, which it charges with all it does.
        starting_points: configurations worth trying first; without any, the config's defaults are.
        takes_precomputed: whether `unlearn` takes scores and proxies that were made beforehand. The
            config then has a `pruning_rate`, which scores depend on, and `delta`, the proxy's
            epochs.
    """

    name: str
    config: type[Any]
    space: Mapping[str, Range]
    unlearn: Callable[[Problem, Any, int, Stopwatch, Precomputed | None], Unlearned]
    starting_points: tuple[StartingPoint, ...] = ()
    takes_precomputed: bool = False
