"""Recorded once and replayed: what a GPU is told again and again.

A step of training is some hundreds of small orders, which a GPU carries out faster than Python
gives them. As a CUDA graph they are one.
"""

from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.modules import module as all_layers

WARM_UP = 3
"""Calls before the one that is recorded: libraries prepare themselves in the first ones."""

STEADY = ("torch.nn.", "torchvision.", "unlearn.")
"""Packages whose layers do in every step what they did in the last one. Nobody knows of others, of
traces, hooks and replaced functions: they may draw lots in Python, or look at their answers."""


def replays(device: torch.device) -> bool:
    """Whether a device has recordings at all."""
    return device.type == "cuda"


def is_steady(model: nn.Module) -> bool:
    """Whether all layers of a model are known to do the same in every step."""
    return (
        not any(_hooks_of_all_layers())
        and all(_is_steady(layer) for layer in model.modules())
        and not any(
            parameter._backward_hooks or parameter._post_accumulate_grad_hooks
            for parameter in model.parameters()
        )
    )


def _hooks_of_all_layers() -> tuple[Mapping[int, object], ...]:
    return (
        all_layers._global_forward_hooks,
        all_layers._global_forward_pre_hooks,
        all_layers._global_backward_hooks,
        all_layers._global_backward_pre_hooks,
    )


def _is_steady(layer: nn.Module) -> bool:
    hooks = (
        layer._forward_hooks,
        layer._forward_pre_hooks,
        layer._backward_hooks,
        layer._backward_pre_hooks,
    )
    return (
        type(layer).__module__.startswith(STEADY)
        and not isinstance(layer, nn.DataParallel)
        and "forward" not in vars(layer)
        and not any(hooks)
        and not _averages_all(layer)
    )


def _averages_all(layer: nn.Module) -> bool:
    """Whether a layer counts its steps, which it asks the GPU for: batch norm without momentum."""
    return isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.momentum is None


class Recording:
    """A function that changes tensors on one GPU, recorded and replayed.

    Of what it changes or reads, only its arguments may be other tensors in later calls. It returns
    nothing. Draws from the GPU's global random state are made anew in every call.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._arguments: tuple[Tensor, ...] = ()

    def __call__(self, *arguments: Tensor) -> None:
        """Carry the function out with arguments that have the same shapes in every call."""
        if self._calls < WARM_UP:
            self._calls += 1
            self._function(*arguments)
            return
        if self._graph is None:
            self._arguments = tuple(argument.clone() for argument in arguments)
            self._graph = torch.cuda.CUDAGraph()
            device = arguments[0].device
            # By itself torch records what the first GPU is told, whichever one works.
            with torch.cuda.device(device), torch.cuda.graph(self._graph, stream=_stream(device)):
                self._function(*self._arguments)
        for ours, theirs in zip(self._arguments, arguments, strict=True):
            ours.copy_(theirs)
        self._graph.replay()


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Where a GPU's orders are recorded."""
    return torch.cuda.Stream(device)
