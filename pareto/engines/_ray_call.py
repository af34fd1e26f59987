"""What a Ray worker does for `RayEngine.call`.

A worker imports this file and no more of our Ray engine: it needs no Tune, which takes long.
"""

import pickle
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import ray
import torch

from pareto.engines.local import opened
from pareto.errors import EngineError
from unlearn.errors import InputError, UserFacingError


def carry_out(
    payload: bytes, devices: Sequence[torch.device], drivers_node: str
) -> Iterator[tuple[str, Any]]:
    """Do the work of `RayEngine.call`, and pass on what it says and what comes of it.

    Args:
        drivers_node: Ray's name for the machine of the driver.
    """
    messages: queue.Queue[tuple[str, Any]] = queue.Queue()

    def work() -> None:
        try:
            _check_devices(devices)
            # From our own driver, through Ray: never from a file or a stranger.
            do = pickle.loads(payload)
            with opened(devices) as workers:
                result = do(workers, lambda text: messages.put(("said", text)))
            messages.put(("returned", result))
        except InputError as error:  # such as a file that lies elsewhere alone
            is_here = ray.get_runtime_context().get_node_id() == drivers_node
            where = "" if is_here else f"on the cluster's machine {_machine()}: "
            messages.put(("raised", InputError(f"{where}{error.problem}", error.remedy)))
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


def _check_devices(devices: Sequence[torch.device]) -> None:
    """
    Raises:
        EngineError: Ray offers GPUs here, of which torch knows nothing.
    """
    if devices[0].type == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            f"Ray offers GPUs on the machine {_machine()}, and torch finds none there",
            "use --device cpu, or install there a driver and a torch that it can use",
        )


def _machine() -> str:
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
