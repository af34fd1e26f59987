"""IU, influence unlearning: one Newton-like step from θ_o to where D_r alone would have led."""

import copy
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearn.datasets import Samples, to_unit
from unlearn.errors import InputError
from unlearn.methods._checks import check_knobs
from unlearn.methods._method import FloatRange, IntRange, Method, Range
from unlearn.problem import Precomputed, Problem, Unlearned
from unlearn.pruning import Masks, prune
from unlearn.seeds import generator
from unlearn.stopwatch import Stopwatch, Work

COLUMNS = 2**16
"""How many weights at a time the Fisher matrix is computed for in double precision."""


@dataclass(frozen=True)
class IUConfig:
    """The knobs of IU.

    Attributes:
        scale: a, how much of the step is taken.
        damping: λ, what is added to the diagonal of the Fisher matrix.
        gradients: m, of how many mini-batches the Fisher matrix is made; they are kept in memory,
            m times the size of the model.
        batch_size: samples per mini-batch.
        pruning_rate: share of the weights pruned beforehand ("+ OMP"), in [0, 1); 0 is without.
    """

    scale: float = 0.2
    damping: float = 0.1
    gradients: int = 128
    batch_size: int = 128
    pruning_rate: float = 0.1

    def __post_init__(self) -> None:
        check_knobs(self, positive=("damping", "gradients", "batch_size"))


# On handwritten digits, λ = 1 outweighs H's other part so far that only a/λ counts, and λ = 1e-3
# makes even a = 1e-2 cost accuracy; the range of m is that of the specification.
SPACE: dict[str, Range] = {
    "scale": FloatRange(1e-2, 1e1, log=True),
    "damping": FloatRange(1e-3, 1.0, log=True),
    "gradients": IntRange(64, 256),
}


def unlearn(
    problem: Problem,
    config: IUConfig,
    seed: int,
    stopwatch: Stopwatch,
    precomputed: Precomputed | None = None,
) -> Unlearned:
    """Move the pruned θ_o to θ_o + a·H⁻¹v (Koh and Liang 2017; Jia et al. 2023).

    θ_o has 1/N as the weight of each sample's loss, N = |D_o|; retraining has 0 in D_f and
    1/|D_r| in D_r. v is the gradient of the difference of the two objectives, and H⁻¹v to first
    order the difference of their minima. H is the Fisher matrix of the weights that are left; a
    pruned one has no gradient and does not move.

    (The "WoodFisher" recursion of public unlearning code only rescales its first vector; here
    H⁻¹v is exact.) All gradients are taken in evaluation mode: batch statistics stay.

    Args:
        seed: decides the mini-batches of the Fisher matrix.

    Returns:
        θ_u with the pruned weights at zero.

    Raises:
        InputError: the device has no room for the gradients.
    """
    del precomputed
    model = copy.deepcopy(problem.original)
    with stopwatch.phase("prune", Work(steps=1)):
        masks = prune(model, config.pruning_rate)
        kept = _kept(model, masks)
    forget, retain = problem.forget, problem.retain
    steps = sum(math.ceil(len(samples) / config.batch_size) for samples in (forget, retain))
    with stopwatch.phase("influence", Work(steps, len(forget) + len(retain))):
        vector = influence(model, forget, retain, config.batch_size) * kept
    count, size = config.gradients, config.batch_size
    with stopwatch.phase("fisher", Work(count, count * size)):
        everything = Samples(*(torch.cat(pair) for pair in zip(forget, retain, strict=True)))
        draws = generator(seed, "Fisher batches")
        gradients = _room(count, len(kept), problem.device)
        for row in gradients:
            drawn = torch.randint(len(everything), (size,), generator=draws)
            row.copy_(gradient(model, everything.take(drawn), "mean") * kept)
    # Work is counted in gradients and in pairs of gradients, which is what the time goes with.
    with stopwatch.phase("invert", Work(count, count**2)):
        _move(model, config.scale * solve_fisher(gradients, vector, config.damping))
    return Unlearned(model, masks, sizes={"forget": len(forget), "retain": len(retain)})


def gradient(model: nn.Module, samples: Samples, reduction: Literal["mean", "sum"]) -> Tensor:
    """The gradient of the cross-entropy, in nats, with respect to all P trainable weights.

    Returns:
        P values, one parameter after the other in the order of `model.parameters()`, each
        flattened row by row whatever its layout in memory; 0 for what has no part in the answer.
    """
    loss = F.cross_entropy(model(to_unit(samples.images)), samples.labels, reduction=reduction)
    parts = torch.autograd.grad(loss, _trainable(model), materialize_grads=True)
    # Older versions of torch let the zeros of what has no part in the answer require gradients.
    return torch.cat([part.detach().flatten() for part in parts])


def influence(model: nn.Module, forget: Samples, retain: Samples, batch_size: int) -> Tensor:
    """v = (1/N)·Σ_f ∇ℓ − (|D_f|/(N·|D_r|))·Σ_r ∇ℓ, N = |D_f| + |D_r|.

    Args:
        batch_size: how many samples go through `model` at a time, which changes nothing else.

    Returns:
        P values in double precision, ordered as in `gradient`.
    """
    total = len(forget) + len(retain)
    size = sum(parameter.numel() for parameter in _trainable(model))
    vector = torch.zeros(size, dtype=torch.float64, device=forget.labels.device)
    for samples, weight in ((forget, 1 / total), (retain, -len(forget) / (total * len(retain)))):
        batches = (tensor.split(batch_size) for tensor in samples)
        for images, labels in zip(*batches, strict=True):
            vector += weight * gradient(model, Samples(images, labels), "sum")
    return vector


def solve_fisher(gradients: Tensor, vector: Tensor, damping: float) -> Tensor:
    """H⁻¹v for the damped empirical Fisher matrix H = λI + GᵀG/m, without ever forming it.

    By the Woodbury identity H⁻¹v = (v − Gᵀ(mλI + GGᵀ)⁻¹Gv)/λ, which takes a system of m
    equations instead of P; in double precision, a few columns of G at a time.

    Args:
        gradients: G, m×P.
        vector: v, P.
        damping: λ > 0.

    Returns:
        P values in double precision.
    """
    columns = list(
        zip(gradients.split(COLUMNS, dim=1), vector.double().split(COLUMNS), strict=True)
    )
    count = len(gradients)
    system = count * damping * torch.eye(count, dtype=torch.float64, device=vector.device)
    projected = torch.zeros(count, dtype=torch.float64, device=vector.device)
    for part, of_vector in columns:
        exact = part.double()
        system += exact @ exact.T
        projected += exact @ of_vector
    weights = torch.linalg.solve(system, projected)
    return torch.cat([v - part.double().T @ weights for part, v in columns]) / damping


def _trainable(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _kept(model: nn.Module, masks: Masks) -> Tensor:
    """The masks as P values, ordered as in `gradient`; 1 for what pruning never touches."""
    # By the parameter and not by its name: one that layers share has several names.
    mask_of = {model.get_parameter(name): mask for name, mask in masks.items()}
    parts = (mask_of.get(parameter, torch.ones_like(parameter)) for parameter in _trainable(model))
    return torch.cat([part.flatten() for part in parts])


def _room(rows: int, columns: int, device: torch.device) -> Tensor:
    try:
        return torch.empty(rows, columns, device=device)
    except RuntimeError as error:
        raise InputError(
            f"{rows} gradients of {columns} weights need {rows * columns * 4 / 1e9:.1f} GB, which"
            f" {device} has no room for",
            "lower the parameter gradients of iu, in the definition's method or space",
        ) from error


@torch.no_grad()
def _move(model: nn.Module, step: Tensor) -> None:
    """Add P values to the parameters, ordered as in `gradient`."""
    parameters = _trainable(model)
    parts = step.split([parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.add_(part.view_as(parameter))


METHOD = Method("iu", IUConfig, SPACE, unlearn)
