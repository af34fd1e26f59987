"""What a caller has set of torch for work of its own has no say in what is computed here."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from unlearn.errors import InputError


@contextmanager
def plain_torch() -> Iterator[None]:
    """Compute as in a process that has just begun, and leave everything as it was: gradients,
    autocast, the default type and device, the number of threads, cuDNN's algorithms.

    Raises:
        InputError: the caller is in a block of `with torch.device(...)`.
    """
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        for name in ("benchmark", "deterministic"):
            cudnn = torch.backends.cudnn
            stack.callback(setattr, cudnn, name, getattr(cudnn, name))
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        default = torch.get_default_device()
        if default.type != "cpu":
            torch.set_default_device(None)
            if torch.get_default_device().type != "cpu":
                raise InputError(
                    f"a block of `with torch.device({str(default)!r})` sends all tensors there",
                    "leave the block first, and say the device with `device=`",
                )
            stack.callback(torch.set_default_device, default)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield
