"""What has to work with a model that is not ours, tried out on two images before it is trained."""

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from unlearn.datasets import to_unit
from unlearn.errors import InputError, in_one_line
from unlearn.models._torchvision import PREFIX
from unlearn.pruning import prune
from unlearn.seeds import seeded_globals

if TYPE_CHECKING:
    from unlearn.models._factory import ModelFactory

CPU = torch.device("cpu")


def try_out(factory: "ModelFactory", images: Tensor) -> None:
    """See whether training, evaluation, pruning and storing can do with a model.

    Args:
        images: two.

    Raises:
        InputError: they cannot, with the first reason that is found.
    """
    name = factory.name
    try:
        model, again, other = (factory(seed, CPU) for seed in (0, 0, 1))
        made_of = set(model.state_dict())
        with torch.no_grad(), seeded_globals(0, CPU):
            answers = [model.train()(to_unit(images)), model.eval()(to_unit(images))]
    except InputError:
        raise
    except Exception as error:
        channels, height, width = images.shape[1:]
        raise InputError(
            f"{name} cannot be used for {channels}-channel images of {width}×{height} pixels:"
            f" {in_one_line(error)}",
            "make it take float32 images of that many channels and that size, or use other images",
        ) from error
    for answer in answers:
        shape = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        if shape != (2, factory.classes):
            raise InputError(
                f"{name} answers two images with {shape}, not with 2×{factory.classes} logits",
                "make it return one logit per class, in training and in evaluation",
            )
    if set(model.state_dict()) != made_of:
        raise InputError(
            f"{name} makes parts of itself when it is first called", "make them in its `__init__`"
        )
    reason = _unusable(model, again)
    if not name.startswith(PREFIX):  # those can be trained, and a copy of a large one takes room
        reason = reason or _untrainable(model, images)
    reason = reason or _unsteady(model, other, images)
    if reason is not None:
        raise InputError(f"{name} {reason}", "change it, or use another model")


def _unusable(model: nn.Module, again: nn.Module) -> str | None:
    """Why a model cannot be used, to follow its name.

    Args:
        again: made from the same seed.
    """
    if any(map(is_lazy, [*again.parameters(), *again.buffers()])):
        return "waits for images to know the shapes of its parameters: say them when it is made"
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return "has nothing to train"
    if not all(isinstance(value, Tensor) for value in model.state_dict().values()):
        return "keeps something in its state dict that is no tensor"
    if model.get_submodule("1") is again.get_submodule("1"):
        return "makes the same model again, not another one"
    first, second = dict(model.named_parameters()), dict(again.named_parameters())
    if first.keys() != second.keys() or any(not first[k].equal(second[k]) for k in first):
        return "starts from other weights every time: draw them from torch, NumPy or random"
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    computed = sorted(prune(model, 0.0).keys() - parameters)
    if computed:
        return f"computes {computed[0]} from other parameters, so that it cannot be pruned"
    return None


def _untrainable(model: nn.Module, images: Tensor) -> str | None:
    """Why a model cannot be trained and copied, to follow its name."""
    try:
        with seeded_globals(0, CPU):
            model.train()(to_unit(images)).sum().backward()
    except Exception as error:
        return f"cannot be trained: {in_one_line(error)}"
    model.zero_grad()
    try:
        copy.deepcopy(model)
    except Exception as error:
        return f"cannot be copied once it has answered: {in_one_line(error)}"
    return None


@torch.no_grad()
def _unsteady(model: nn.Module, other: nn.Module, images: Tensor) -> str | None:
    """Why a model's state dict does not decide its answers in evaluation, to follow its name.

    Args:
        other: made from another seed; it gets the model's state.
    """
    try:
        other.load_state_dict(model.state_dict())
    except Exception as error:
        return f"does not take its own state dict: {in_one_line(error)}"
    with seeded_globals(0, CPU):
        first, second, others = (net.eval()(to_unit(images)) for net in (model, model, other))
    if not torch.allclose(first, second, equal_nan=True):
        return "answers at random in evaluation: dropout has to be told of `self.training`"
    if not torch.allclose(first, others, equal_nan=True):
        return "keeps something random out of its state dict: make it a parameter or buffer of it"
    return None
