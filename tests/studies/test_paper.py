"""The twelve built-in definitions of the ConMU paper, against its tables."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from studies import load

# As printed: six columns, each a data set and a network.
COLUMNS = [
    ("cifar10", "resnet18"),
    ("cifar100", "resnet18"),
    ("svhn", "resnet18"),
    ("cifar10", "vgg16"),
    ("cifar100", "vgg16"),
    ("svhn", "vgg16"),
]
RANDOM = """
z1' z2'  .17 .30   .16 .25   .10 .28   .16 .20   .35 .45   .20 .30
z1 z2    .85 1.0   .18 .20   .30 .40   .15 .20   .37 .40   .30 .40
alpha    3         4         5         3         5         5
"""
CLASS = """
class    5         69        5         5         69        5
z1' z2'  .20 .30   .10 .30   .20 .30   .30 .40   .35 .45   .20 .30
z1 z2    .80 1.0   .30 .40   .50 .80   .50 .80   .85 1.0   .50 .80
alpha    12        1         4         20        10        4
"""


class Case(NamedTuple):
    """A definition's name, and what it has to say."""

    name: str
    data: str
    model: str
    request: dict[str, Any]
    first: dict[str, Any]


def rows(table: str) -> Iterator[list[list[float]]]:
    """The figures of every line, column by column."""
    for line in table.strip().splitlines():
        cells = re.split(" {3,}", line[9:])
        yield [[float(word) for word in cell.split()] for cell in cells]


def cases() -> Iterator[Case]:
    for (data, model), retain, forget, (alpha,) in zip(COLUMNS, *rows(RANDOM), strict=True):
        request: dict[str, Any] = {"kind": "random", "fraction": 0.2}
        first = setting(retain, forget, alpha)
        yield Case(f"{data}-{model}-random", data, model, request, first)
    for (data, model), (label,), retain, forget, (alpha,) in zip(
        COLUMNS, *rows(CLASS), strict=True
    ):
        request = {"kind": "class", "label": label, "fraction": 0.5}
        first = setting(retain, forget, alpha)
        yield Case(f"{data}-{model}-class", data, model, request, first)


def setting(retain: list[float], forget: list[float], alpha: float) -> dict[str, Any]:
    return {
        "forget_z1": forget[0],
        "forget_z2": forget[1],
        "retain_z1": retain[0],
        "retain_z2": retain[1],
        "alpha": alpha,
        "sigma": 1.0,
        "delta": 1,
    }


ALL = list(cases())


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_a_definition_is_what_its_column_says(case: Case) -> None:
    definition = load(case.name)
    assert (definition.data.name, definition.model) == (case.data, case.model)
    assert definition.request.model_dump() == case.request
    assert definition.starting_points()[0] == case.first
    assert definition.method["name"] == "conmu"
    assert definition.config({}).gamma == 0.5


def test_there_are_twelve() -> None:
    assert len({case.name for case in ALL}) == 12


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_the_settings_of_the_other_columns_come_next(case: Case) -> None:
    printed = [other.first for other in ALL if other.request["kind"] == case.request["kind"]]
    different = [first for n, first in enumerate(printed) if first not in printed[:n]]
    points = load(case.name).starting_points()
    assert len(points) == len(different)
    assert all(point in different for point in points)


@pytest.mark.parametrize("data", ["cifar10", "cifar100", "svhn"])
@pytest.mark.parametrize("model", ["resnet18", "vgg16"])
def test_both_requests_to_a_model_follow_one_recipe(data: str, model: str) -> None:
    random, class_wise = (load(f"{data}-{model}-{kind}") for kind in ("random", "class"))
    assert random.recipe == class_wise.recipe
    assert random.objectives == class_wise.objectives


@pytest.mark.parametrize("case", ALL, ids=[case.name for case in ALL])
def test_digits_are_not_mirrored(case: Case) -> None:
    assert load(case.name).recipe.augment == (case.data != "svhn")
