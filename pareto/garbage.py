"""Python's garbage collector, where it would look for long and find nothing."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Keep Python from looking for garbage while the block makes many objects that stay, such as
    those of imports or of thousands of trials.

    As often as their number grows it would look at all of them: that takes a quarter of the time of
    importing torch, and a third of that of reading trials.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
