"""What a Ray worker does for `RayEngine.call`.

A worker imports this file and no more of our Ray engine: it needs no Tune, which takes long.
"""

import pickle
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from pareto.engines.local import opened
from unlearn.errors import UserFacingError


def carry_out(payload: bytes, devices: Sequence[torch.device]) -> Iterator[tuple[str, Any]]:
    """Do the work of `RayEngine.call`, and pass on what it says and what comes of it."""
    messages: queue.Queue[tuple[str, Any]] = queue.Queue()

    def work() -> None:
        try:
            # From our own driver, through Ray: never from a file or a stranger.
            do = pickle.loads(payload)
            with opened(devices) as workers:
                result = do(workers, lambda text: messages.put(("said", text)))
            messages.put(("returned", result))
        except UserFacingError as error:
            messages.put(("raised", error))
        except BaseException as error:  # raised below, in Ray's own thread
            messages.put(("broke", error))

    threading.Thread(target=work, daemon=True).start()
    kind = "said"
    while kind == "said":
        kind, content = messages.get()
        if kind == "broke":
            raise content
        yield kind, content
