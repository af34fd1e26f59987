"""Requirements: the grammar against Python's own arithmetic, and how they are judged."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pareto.choice.requirements import parse, parse_all, violations
from unlearn.errors import InputError

FIGURES = {"ta": 80.0, "frm": 0.9, "rte": 5.0, "retrain_rte": 60.0, "original_ta": 82.5}
NAN = float("nan")


def left_side(expression: str, figures: Mapping[str, float] = FIGURES) -> float:
    """The value of an expression, asked for as the left side of a requirement."""
    return parse(f"{expression} >= ta", figures.keys()).sides(figures)[0]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("24 / 4 / 2", 3),
        ("24 / (4 / 2)", 12),
        ("2 - -3", 5),
        ("--3", 3),
        ("-2 * 3 + 10", 4),
        ("-(2 + 3) * 2", -10),
        ("((((7))))", 7),
        ("0.1 * retrain_rte", 6),
        ("original_ta - 2", 80.5),
        ("1+2*3", 7),
        ("\t1 +\n 2 ", 3),
    ],
)
def test_arithmetic_has_the_usual_precedence(expression: str, value: float) -> None:
    assert left_side(expression) == pytest.approx(value)


@pytest.mark.parametrize(
    "number", ["1e3", "1E3", "2.5e-3", "1e+2", "3.", ".5", "0.85", "007", ".5e3", "3.e2"]
)
def test_numbers_are_read_as_python_reads_them(number: str) -> None:
    assert left_side(number) == float(number)


@dataclass(frozen=True)
class Expression:
    """An expression as text for both parsers."""

    text: str


def combine(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    joined = st.tuples(inner, st.sampled_from("+-*/"), inner)
    return st.one_of(
        joined.map(lambda parts: Expression(f"{parts[0].text} {parts[1]} {parts[2].text}")),
        inner.map(lambda part: Expression(f"({part.text})")),
        inner.map(lambda part: Expression(f"-{part.text}")),
    )


NUMBERS = st.one_of(
    st.integers(0, 1000).map(str),
    st.floats(0, 1e9, allow_subnormal=False).map(repr),
)
EXPRESSIONS = st.recursive(
    st.one_of(NUMBERS, st.sampled_from(sorted(FIGURES))).map(Expression), combine, max_leaves=12
)


@given(EXPRESSIONS, st.sampled_from(["<=", ">=", "<", ">"]), EXPRESSIONS)
@example(Expression("1 / (ta - ta)"), ">=", Expression("1"))
@example(Expression("ta"), ">=", Expression("-1e308 * 1e10"))
@example(Expression("ta / 0"), ">=", Expression("1"))
@example(Expression("-ta * -2"), "<", Expression("1 - 2 - 3"))
def test_random_requirements_mean_what_they_mean_in_python(
    left: Expression, comparison: str, right: Expression
) -> None:
    text = f"{left.text} {comparison} {right.text} + 0 * ta"
    try:
        expected = eval(left.text, {}, FIGURES), eval(right.text, {}, FIGURES)
    except ZeroDivisionError:
        expected = NAN, NAN
    try:
        requirement = parse(text, FIGURES.keys())
    except InputError:  # of a zero that names no figure
        assert all(map(math.isnan, expected))
        return
    if not all(map(math.isfinite, expected)):
        assert all(map(math.isnan, requirement.sides(FIGURES)))
        assert not requirement.holds(FIGURES)
        return
    assert requirement.sides(FIGURES) == pytest.approx(expected)
    verdict: bool = eval(text, {}, FIGURES)
    assert requirement.holds(FIGURES) == verdict


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("ta >= 80", True),
        ("ta <= 80", True),
        ("ta > 80", False),
        ("ta < 80", False),
        ("ta > 79.9", True),
        ("ta < 80.1", True),
        ("79 < ta", True),
        ("0.95 <= frm", False),
        ("rte <= 0.1 * retrain_rte", True),
        ("ta >= original_ta - 2", False),
    ],
)
def test_each_comparison_is_judged_as_written(text: str, holds: bool) -> None:
    assert parse(text, FIGURES.keys()).holds(FIGURES) is holds


@pytest.mark.parametrize("comparison", ["<=", ">=", "<", ">"])
@pytest.mark.parametrize("text", ["ta {} 1", "1 {} ta", "1 / (ta - ta) {} 1", "ta {} ta"])
def test_nan_satisfies_nothing(text: str, comparison: str) -> None:
    assert not parse(text.format(comparison), {"ta"}).holds({"ta": NAN})


def test_dividing_by_zero_satisfies_nothing() -> None:
    requirement = parse("ta / rte >= 0", FIGURES.keys())
    assert not requirement.holds({**FIGURES, "rte": 0.0})


@pytest.mark.parametrize(
    ("text", "slack"),
    [
        ("ta >= 78", 2),
        ("ta >= 83", -3),
        ("ta > 78", 2),
        ("ta > 83", -3),
        ("rte <= 7", 2),
        ("rte <= 1", -4),
        ("rte < 7", 2),
        ("rte < 1", -4),
        ("78 <= ta", 2),
        ("83 < ta", -3),
    ],
)
def test_slack_is_positive_to_spare_and_negative_when_missing(text: str, slack: float) -> None:
    assert parse(text, FIGURES.keys()).slack(FIGURES) == pytest.approx(slack)


def test_a_requirement_remembers_its_text_and_the_figures_it_speaks_of() -> None:
    requirement = parse("  rte <= 0.1 * retrain_rte ", FIGURES.keys())
    assert requirement.text == "rte <= 0.1 * retrain_rte"
    assert requirement.names == {"rte", "retrain_rte"}


def test_names_are_read_in_any_case() -> None:
    assert parse("TA >= 80", FIGURES.keys()).holds(FIGURES)


def test_an_unknown_figure_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(InputError) as caught:
        parse("retrain_rt <= 3", FIGURES.keys())
    assert "'retrain_rt'" in caught.value.problem
    assert "did you mean 'retrain_rte'?" in caught.value.remedy


def test_a_figure_like_no_other_is_refused_with_all_that_are_known() -> None:
    with pytest.raises(InputError) as caught:
        parse("zzz <= 3", FIGURES.keys())
    assert "did you mean" not in caught.value.remedy
    assert all(name in caught.value.remedy for name in FIGURES)


MALFORMED = [
    "",
    "   ",
    "ta",
    ">= 3",
    "ta >=",
    "ta 3",
    "ta == 3",
    "ta = 3",
    "ta => 3",
    "ta != 3",
    "ta >= 3 >= 2",
    "ta >= 3 and frm >= 1",
    "ta >= 3, frm >= 1",
    "(ta >= 3)",
    "(ta >= 3",
    "ta) >= 3",
    "(ta + 1 >= 3",
    "ta >= ()",
    "ta >= 3 4",
    "ta rte >= 3",
    "ta >= 1 +",
    "ta >= * 1",
    "ta >= +1",
    "ta >= 2 ** 3",
    "ta >= 2 // 3",
    "ta >= 5 %",
    "ta >= 1.2.3",
    "ta >= 1e",
    "ta >= 0x1f",
    "ta >= 1_000",
    "ta >= 'x'",
    "ta >= 85%",
    "ta ≥ 3",
    "ta >= abs(3)",
    "ta >= __import__('os')",
    "ta.real >= 3",
    "ta[0] >= 3",
    "ta >= 3;",
    "ta >= 3 #",
    "\N{SNOWMAN}",
    "ta >= 1e999",
    "ta >= 1 / 0",
    "ta / (2 - 2.0) >= 1",
    f"{'(' * 240}ta{')' * 240} >= 1",
    f"{'-' * 400}ta >= 1",
    "\0",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_requirements_are_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text, FIGURES.keys())
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["1 <= 2", "3 > 2 * 7"])
def test_a_requirement_that_names_no_figure_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="names no figure"):
        parse(text, FIGURES.keys())


@given(st.text(alphabet="tafrm01.eE+-*/()<>= \n", max_size=20))
def test_no_text_brings_the_parser_down(text: str) -> None:
    try:
        requirement = parse(text, FIGURES.keys())
    except InputError:
        return
    assert isinstance(requirement.holds(FIGURES), bool)


@pytest.mark.parametrize("opening", ["(", "-"])
def test_absurdly_deep_nesting_is_refused(opening: str) -> None:
    with pytest.raises(InputError):
        parse(opening * 5000 + "ta >= 1", FIGURES.keys())


CONDITIONS = ["ta >= 50", "frm > 0.25", "ta / (frm - 0.25) >= 200", "rte < 3 * frm"]
DRAWN = st.fixed_dictionaries(
    {
        "ta": st.sampled_from([0.0, 49.0, 50.0, 100.0]),
        "frm": st.sampled_from([0.0, 0.25, 0.3, 1.0]),
        "rte": st.sampled_from([0.5, 3.0, 9.0]),
    }
)


@given(
    st.lists(DRAWN, min_size=1, max_size=8),
    st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=4),
)
def test_violations_are_slacks_in_the_range_over_which_they_vary(
    trials: list[dict[str, float]], texts: list[str]
) -> None:
    wanted = [parse(text, {"ta", "frm", "rte"}) for text in texts]
    columns = violations(trials, wanted).T
    for requirement, column in zip(wanted, columns, strict=True):
        slacks = [requirement.slack(figures) for figures in trials]
        valued = [slack for slack in slacks if not math.isnan(slack)]
        span = max(valued, default=0) - min(valued, default=0)
        for figures, slack, violated in zip(trials, slacks, column, strict=True):
            assert (violated <= 0) == requirement.holds(figures)
            if math.isnan(slack):
                others = [v for v, s in zip(column, slacks, strict=True) if not math.isnan(s)]
                assert violated > max(others, default=0)
            else:
                assert violated == pytest.approx(-slack / (span or 1), abs=1e-8)


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        ("ta >= 0.8", "ta is in percent", "write 80"),
        ("TA >= .95", "ta is in percent", "write 95"),
        ("ra > 1", "ra is in percent", "write 100"),
        ("frm >= 60", "frm goes from 0 to 1", "write 0.6"),
        ("frm >= 600", "frm goes from 0 to 1", "from 0 to 1"),
    ],
)
def test_a_figure_that_is_asked_for_in_another_unit_is_refused(
    text: str, what: str, remedy: str
) -> None:
    known = {"ta", "ra", "frm", "fa"}
    with pytest.raises(InputError, match=what) as caught:
        parse_all([text], known)
    assert remedy in caught.value.remedy
    meant = ["ta >= 80", "ra >= 99.5", "frm >= 0.6", "fa <= 0.5", "ta - ra >= 0.5", "frm >= 1"]
    assert [requirement.text for requirement in parse_all(meant, known)] == meant
