"""What a definition speaks of, in words."""

from typing import Any

import pytest

from pareto.preparation.material import Material
from studies import Definition
from tests.pareto.home import tiny


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"kind": "random", "fraction": 0.25}, "; 30 training images are to be forgotten"),
        (
            {"kind": "random", "fraction": 0.05},
            "; 6 training images are to be forgotten"
            " (so few that FA and MIA go in steps of 16.7 %)",
        ),
    ],
)
def test_the_request_is_told_and_whether_it_is_small(request_: dict[str, Any], told: str) -> None:
    assert Material.load(tiny(request=request_)).describe().endswith(told)


def test_the_class_of_a_request_is_named() -> None:
    content = tiny().model_dump(mode="json")
    content["request"] = {"kind": "class", "label": 7, "fraction": 1.0}
    told = Material.load(Definition.model_validate(content)).describe()
    assert told.endswith(", of class '7'")
