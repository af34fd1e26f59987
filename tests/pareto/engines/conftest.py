"""One Ray for all tests: to start it takes seconds."""

from collections.abc import Iterator

import pytest

from pareto.engines import ray_tune


@pytest.fixture(scope="session")
def ray_engine() -> Iterator[ray_tune.RayEngine]:
    """An engine with two workers on a Ray of this machine."""
    with ray_tune.connected(None, 2, 1.0, 0.0) as engine:
        yield engine
