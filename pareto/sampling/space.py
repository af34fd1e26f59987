"""A method's search space in Optuna's terms."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from unlearn.methods import Choice, IntRange, Range


def distributions(ranges: Mapping[str, Range]) -> dict[str, BaseDistribution]:
    """One Optuna distribution per parameter, in the order of the ranges."""
    return {name: _distribution(span) for name, span in ranges.items()}


def _distribution(span: Range) -> BaseDistribution:
    if isinstance(span, Choice):
        return CategoricalDistribution(span.choices)
    if isinstance(span, IntRange):
        return IntDistribution(span.low, span.high, log=span.log)
    return FloatDistribution(span.low, span.high, log=span.log)


def at_fraction(ranges: Mapping[str, Range], fraction: float) -> dict[str, Any]:
    """The configuration that lies so far between the low and the high end of every range."""
    values: dict[str, Any] = {}
    for name, span in ranges.items():
        if isinstance(span, Choice):
            values[name] = span.choices[round(fraction * (len(span.choices) - 1))]
            continue
        if span.log:
            value = span.low * (span.high / span.low) ** fraction
        else:
            value = span.low + fraction * (span.high - span.low)
        values[name] = round(value) if isinstance(span, IntRange) else value
    return values
