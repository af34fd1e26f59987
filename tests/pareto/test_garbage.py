"""The garbage collector is as it was before, whatever happens in between."""

import gc
from collections.abc import Iterator

import pytest

from pareto.garbage import nothing_collected


@pytest.fixture(autouse=True, params=[True, False], ids=["on", "off"])
def collects(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the collector is at work before the block."""
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_it_rests_in_the_block_alone(collects: bool) -> None:
    with nothing_collected():
        assert not gc.isenabled()
        with nothing_collected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled() is collects


def test_it_goes_on_after_an_exception(collects: bool) -> None:
    with pytest.raises(ImportError), nothing_collected():
        raise ImportError
    assert gc.isenabled() is collects
