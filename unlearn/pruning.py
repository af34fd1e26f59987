"""One-shot global magnitude pruning (OMP), the first step of ConMU."""

import torch
from torch import Tensor, nn

Masks = dict[str, Tensor]
"""Parameter name -> 1 where the weight stays and 0 where it is pruned, in the weight's shape."""

PRUNABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


@torch.no_grad()
def prune(model: nn.Module, rate: float) -> Masks:
    """Set the smallest weights of all convolutions and linear layers to zero, in place.

    Weights are ranked by magnitude over the whole network (ConMU, section 3.2). Biases and batch
    norm stay. The paper names no rate; its code uses 0.1. Unlike that code, which forgets the mask
    and so ends dense, training with the returned masks keeps the pruned weights at zero.

    Args:
        rate: share of the weights to prune, in [0, 1); exactly round(rate · count) are.

    Returns:
        The masks; of a weight that layers share, under the name that it has in the first of them.
    """
    weights = _prunable(model)
    if not weights:
        return {}
    magnitudes = torch.cat([weight.abs().flatten() for weight in weights.values()])
    count = round(rate * magnitudes.numel())
    keep = torch.ones_like(magnitudes)
    keep[magnitudes.topk(count, largest=False, sorted=False).indices] = 0
    parts = keep.split([weight.numel() for weight in weights.values()])
    # Laid out in memory as the weights are: that way gradients are masked in one go.
    masks = {
        name: torch.empty_like(weight, requires_grad=False).copy_(part.view_as(weight))
        for (name, weight), part in zip(weights.items(), parts, strict=True)
    }
    for name, weight in weights.items():
        weight.mul_(masks[name])
    return masks


@torch.no_grad()
def mask_weights(model: nn.Module, masks: Masks) -> None:
    """Set the weights to zero that another model of the same architecture was pruned of."""
    for name, mask in masks.items():
        model.get_parameter(name).mul_(mask)


@torch.no_grad()
def mask_gradients(model: nn.Module, masks: Masks) -> None:
    """Zero the gradients of pruned weights: being zero themselves, they then never move,
    whatever momentum and weight decay do."""
    gradients: list[Tensor] = []
    kept: list[Tensor] = []
    for name, mask in masks.items():
        gradient = model.get_parameter(name).grad
        if gradient is not None:
            gradients.append(gradient)
            kept.append(mask)
    if gradients:
        torch._foreach_mul_(gradients, kept)


def sparsity(model: nn.Module) -> float:
    """The share of zeros among the prunable weights, in [0, 1]; 0 if there are none."""
    weights = _prunable(model).values()
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / max(1, sum(weight.numel() for weight in weights))


def _prunable(model: nn.Module) -> dict[str, Tensor]:
    """Parameter name -> weight; one that layers share comes once."""
    named: dict[Tensor, str] = {}
    for name, module in model.named_modules():
        if isinstance(module, PRUNABLE):
            named.setdefault(module.weight, f"{name}.weight" if name else "weight")
    return {name: weight for weight, name in named.items()}
