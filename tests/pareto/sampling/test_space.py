"""From a method's ranges to Optuna's distributions."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import studies
from pareto.preparation.calibration import PROBES
from pareto.sampling.space import at_fraction, distributions
from unlearn.methods import Choice, FloatRange, IntRange, Range

RANGES: dict[str, Range] = {
    "alpha": IntRange(0, 20),
    "epochs": IntRange(1, 100, log=True),
    "z": FloatRange(0.0, 2.0),
    "sigma": FloatRange(0.01, 1.0, log=True),
    "schedule": Choice(("constant", "cosine", "step")),
}


def test_every_range_becomes_its_distribution() -> None:
    assert distributions(RANGES) == {
        "alpha": IntDistribution(0, 20),
        "epochs": IntDistribution(1, 100, log=True),
        "z": FloatDistribution(0.0, 2.0),
        "sigma": FloatDistribution(0.01, 1.0, log=True),
        "schedule": CategoricalDistribution(("constant", "cosine", "step")),
    }


def test_distributions_keep_the_order_of_the_ranges() -> None:
    assert list(distributions(RANGES)) == list(RANGES)


@pytest.mark.parametrize(
    ("fraction", "values"),
    [
        (0.0, (0, 1, 0.0, 0.01, "constant")),
        (0.5, (10, 10, 1.0, 0.1, "cosine")),
        (1.0, (20, 100, 2.0, 1.0, "step")),
    ],
)
def test_a_fraction_lies_between_the_ends_on_the_scale_of_the_range(
    fraction: float, values: tuple[object, ...]
) -> None:
    point = at_fraction(RANGES, fraction)
    assert [point[name] for name in RANGES] == [
        pytest.approx(value) if isinstance(value, float) else value for value in values
    ]


@pytest.mark.parametrize("fraction", PROBES)
@pytest.mark.parametrize("name", studies.builtin_names())
def test_the_points_of_the_calibration_lie_in_the_space(name: str, fraction: float) -> None:
    ranges = studies.load(name).ranges
    point = at_fraction(ranges, fraction)
    assert [key for key, value in point.items() if value not in ranges[key]] == []
    assert point.keys() == ranges.keys()
