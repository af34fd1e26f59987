"""Names that are known without torch."""

from studies.names import METHOD_NAMES
from unlearn.methods import METHODS


def test_every_method_is_named() -> None:
    assert tuple(METHODS) == METHOD_NAMES
