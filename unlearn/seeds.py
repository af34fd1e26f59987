"""Independent random streams derived from one seed, one per purpose.

The global random state of torch, NumPy and Python is never reset: whoever needs randomness asks
for a stream by naming what it is for, so that adding a consumer changes nothing for the others.
"""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that is a pure function of `seed` and of the words in `purpose`."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> "torch.Generator":
    """A CPU generator for one purpose; draws are moved to the device where they are used,
    so that a seed means the same on every device."""
    import torch  # here, so that whoever only derives seeds need not wait for it

    return torch.Generator().manual_seed(derive_seed(seed, *purpose))
