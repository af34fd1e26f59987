"""Requirements such as `frm >= 0.85` or `rte <= 0.1 * retrain_rte`, judged on stored figures.

The grammar, parsed here and never evaluated as code:

    requirement = sum ("<=" | ">=" | "<" | ">") sum
    sum         = product (("+" | "-") product)*
    product     = factor (("*" | "/") factor)*
    factor      = number | name | "-" factor | "(" sum ")"
"""

import difflib
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unlearn.errors import InputError

Figures = Mapping[str, float]
_Term = Callable[[Figures], float]

_TOKEN = re.compile(
    r"\s*(?:((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|(<=|>=|[<>+\-*/()]))"
)
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
LONGEST = 500
"""Characters in a requirement."""
DEEPEST = 50
"""Brackets, and signs, within each other."""
MISSED = 1e-9
"""By how much a requirement that does not hold counts as violated at least: `<` between equal sides
would otherwise be violated by 0."""
_REMEDY = 'write it like "frm >= 0.85" or "rte <= 0.1 * retrain_rte"'


@dataclass(frozen=True)
class Requirement:
    """A condition on the figures of one trial.

    Attributes:
        text: as the user wrote it.
        comparison: `<=`, `>=`, `<` or `>`.
        names: the figures it speaks of.
    """

    text: str
    comparison: str
    names: frozenset[str]
    _left: _Term
    _right: _Term

    def holds(self, figures: Figures) -> bool:
        """Whether the figures satisfy it; a NaN satisfies nothing."""
        return _COMPARISONS[self.comparison](*self.sides(figures))

    def sides(self, figures: Figures) -> tuple[float, float]:
        """The values of the left and the right side; a division by zero is a NaN, and what is too
        large for a number as well."""
        try:
            sides = self._left(figures), self._right(figures)
        except ZeroDivisionError:
            sides = math.nan, math.nan
        return sides if all(map(math.isfinite, sides)) else (math.nan, math.nan)

    def slack(self, figures: Figures) -> float:
        """How far it is from binding, in the units of its left side: positive is to spare,
        negative is missing."""
        left, right = self.sides(figures)
        return left - right if self.comparison.startswith(">") else right - left


def parse(text: str, known: Collection[str]) -> Requirement:
    """Parse one requirement.

    Args:
        known: the names of the figures that every trial has.

    Raises:
        InputError: it is not of the grammar, or speaks of an unknown figure.
    """
    return _Parser(text, known).requirement()


def parse_all(texts: Sequence[str], known: Collection[str]) -> list[Requirement]:
    """Parse requirements; see `parse`.

    Raises:
        InputError: one is wrong, or mistakes a figure's unit, or they are no list.
    """
    if isinstance(texts, str):  # which is a sequence too, of letters
        raise InputError(f"requirements are a list, and {texts!r} is a text", f"give [{texts!r}]")
    parsed = [parse(text, known) for text in texts]
    for requirement in parsed:
        _refuse_wrong_unit(requirement.text)
    return parsed


def _refuse_wrong_unit(text: str) -> None:
    """Of accuracies that are asked to be some share of 1, and an FRM of some percent."""
    match = re.fullmatch(r"(ta|ra|frm)[<>=\s]+([\d.]+)", text, re.IGNORECASE)
    if match is None:
        return
    name, number = match[1].lower(), float(match[2])
    if name == "frm" and number > 1:
        raise InputError(
            f"requirement {text!r}: frm goes from 0 to 1",
            f"write {number / 100:g}" if number <= 100 else "use a number from 0 to 1",
        )
    if name != "frm" and 0 < number <= 1:
        raise InputError(
            f"requirement {text!r}: {name} is in percent, from 0 to 100", f"write {100 * number:g}"
        )


def violations(
    figures: Sequence[Figures], requirements: Sequence[Requirement]
) -> NDArray[np.float64]:
    """How far trials miss requirements, each in the range over which the trials vary.

    Args:
        figures: of each trial; at least one.
        requirements: at least one.

    Returns:
        By trial and requirement: `MISSED` or more where it is missed, else 0 or less. A trial that
        a requirement has no value for misses it by more than all others.
    """
    return np.column_stack([_violations(figures, requirement) for requirement in requirements])


def _violations(figures: Sequence[Figures], requirement: Requirement) -> NDArray[np.float64]:
    met = np.array([requirement.holds(known) for known in figures])
    slacks = np.array([requirement.slack(known) for known in figures])
    valued = np.isfinite(slacks)
    span = np.ptp(slacks[valued]) if valued.any() else 0.0
    missing = -slacks / (span if span > 0 else 1.0)
    missing[~valued] = missing[valued].max(initial=0.0) + 1.0
    return np.where(met, np.minimum(missing, 0.0), np.maximum(missing, 0.0) + MISSED)


class _Parser:
    def __init__(self, text: str, known: Collection[str]) -> None:
        self._text = text
        self._known = known
        self._names: set[str] = set()
        self._tokens = self._split()
        self._next = 0
        self._depth = 0

    def requirement(self) -> Requirement:
        left = self._sum()
        comparison = self._take()
        if comparison not in _COMPARISONS:
            raise self._error("needs one of <=, >=, <, >")
        right = self._sum()
        if self._peek() is not None:
            raise self._error(f"goes on after its end, at {self._peek()!r}")
        if not self._names:
            raise self._error("names no figure")
        return Requirement(self._text.strip(), comparison, frozenset(self._names), left, right)

    def _split(self) -> list[str]:
        if len(self._text) > LONGEST:
            raise InputError(f"a requirement has {len(self._text)} characters", _REMEDY)
        tokens: list[str] = []
        position, text = 0, self._text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise self._error(f"cannot be read at {text[position:].strip()!r}")
            tokens.append(match.group().strip())
            position = match.end()
        return tokens

    def _peek(self) -> str | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self) -> str | None:
        token = self._peek()
        self._next += 1
        return token

    def _sum(self) -> _Term:
        return self._chain(self._product, {"+": operator.add, "-": operator.sub})

    def _product(self) -> _Term:
        return self._chain(self._factor, {"*": operator.mul, "/": operator.truediv})

    def _chain(
        self, part: Callable[[], _Term], operators: Mapping[str, Callable[[float, float], float]]
    ) -> _Term:
        term = part()
        while (token := self._peek()) is not None and token in operators:
            self._take()
            right = part()
            if token == "/" and _is_zero(right):
                raise self._error("divides by zero")
            term = _combine(operators[token], term, right)
        return term

    def _factor(self) -> _Term:
        token = self._take()
        if token is None:
            raise self._error("ends too early")
        if token == "-":
            inner = self._within(self._factor)
            return lambda figures: -inner(figures)
        if token == "(":
            inner = self._within(self._sum)
            if self._take() != ")":
                raise self._error("lacks a closing bracket")
            return inner
        if token[0].isdigit() or token[0] == ".":
            number = float(token)
            if not math.isfinite(number):
                raise self._error(f"has the number {token}, which is too large")
            return lambda _figures: number
        if not (token[0].isalpha() or token[0] == "_"):
            raise self._error(f"has {token!r} where a figure or a number should stand")
        return self._figure(token)

    def _within(self, part: Callable[[], _Term]) -> _Term:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(f"is nested more than {DEEPEST} deep")
        term = part()
        self._depth -= 1
        return term

    def _figure(self, name: str) -> _Term:
        name = name.lower()
        if name not in self._known:
            close = difflib.get_close_matches(name, self._known, n=1)
            known = ", ".join(sorted(self._known))
            raise InputError(
                f"requirement {self._text!r}: no figure is called {name!r}",
                f"did you mean {close[0]!r}? The figures are {known}"
                if close
                else f"the figures are {known}",
            )
        self._names.add(name)
        return lambda figures: figures[name]

    def _error(self, what: str) -> InputError:
        return InputError(f"requirement {self._text!r} {what}", _REMEDY)


def _is_zero(term: _Term) -> bool:
    """Whether a term that names no figure is 0."""
    try:
        return term({}) == 0
    except KeyError:
        return False


def _combine(operate: Callable[[float, float], float], left: _Term, right: _Term) -> _Term:
    return lambda figures: operate(left(figures), right(figures))
