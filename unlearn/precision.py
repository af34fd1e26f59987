"""In which precision networks are trained.

Weights, losses, updates and all answers of a model that is evaluated are float32; a GPU convolves
these in TF32 (a relative precision of 2⁻¹¹), unless torch is told otherwise. Training may multiply
in bfloat16, which has the range of float32 and a relative precision of 2⁻⁸: some units do that
several times as fast, and its rounding is small beside the noise of SGD.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]
"""`auto` is bfloat16 where the device multiplies it faster than float32."""


def multiplying(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """For the time of the block, multiply matrices and convolve in this precision."""
    return torch.autocast(
        device.type,
        torch.bfloat16,
        enabled=precision == "bfloat16" or (precision == "auto" and _is_quick(device)),
        cache_enabled=False,  # in a caller's autocast, it would keep weights over many updates
    )


@cache
def _is_quick(device: torch.device) -> bool:
    """Whether there are units for bfloat16."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older versions of torch can't tell.
    offered: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(offered.get("avx512_bf16") or offered.get("amx_bf16"))
