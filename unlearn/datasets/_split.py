"""Stratified draws."""

import torch
from torch import Tensor


def stratified_subset(labels: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Draw `size` positions so that every class keeps its share, up to one sample.

    Args:
        labels: N, int64.
        size: how many to draw, 0 <= size <= N.
        generator: where the draw comes from.

    Returns:
        `size` distinct positions, int64, ascending.
    """
    count = labels.shape[0]
    if not 0 <= size <= count:
        raise ValueError(f"cannot draw {size} of {count} samples")
    shuffled = torch.randperm(count, generator=generator)
    by_class = [shuffled[labels[shuffled] == label] for label in labels.unique()]
    exact = torch.tensor([len(members) * size / count for members in by_class])
    quotas = exact.floor().long()
    # Largest remainders get the samples that rounding down left over.
    leftover = size - int(quotas.sum())
    quotas[(exact - quotas).argsort(descending=True, stable=True)[:leftover]] += 1
    drawn = [m[: int(q)] for m, q in zip(by_class, quotas, strict=True)]
    return torch.cat(drawn).sort().values if drawn else torch.empty(0, dtype=torch.int64)
