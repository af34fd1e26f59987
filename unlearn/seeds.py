"""Independent random streams derived from one seed, one per purpose.

The global random state of torch, NumPy and Python is never reset: whoever needs randomness asks
for a stream by naming what it is for, so that adding a consumer changes nothing for the others.
Initialisations and layers such as dropout can only draw from the global state: they are lent it,
one thread at a time.
"""

import hashlib
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_LENT = threading.RLock()


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that is a pure function of `seed` and of the words in `purpose`."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> "torch.Generator":
    """A CPU generator for one purpose; draws are moved to the device where they are used,
    so that a seed means the same on every device."""
    import torch  # here, so that whoever only derives seeds need not wait for it

    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


@contextmanager
def seeded_globals(seed: int, device: "torch.device") -> Iterator[None]:
    """The global random state of Python, NumPy and torch, on the CPU and on `device`, is seeded
    for the time of the block, and afterwards is what it was before. Other threads that want to be
    lent it wait; what a thread draws without asking, meanwhile, is drawn from it."""
    import numpy as np
    import torch

    gpus = []
    if device.type == "cuda":
        gpus = [torch.cuda.current_device() if device.index is None else device.index]
    with _LENT, torch.random.fork_rng(devices=gpus):
        python, numpy = random.getstate(), np.random.get_state()
        # torch.manual_seed would seed the GPUs that are not forked too.
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            torch.cuda.default_generators[gpu].manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
