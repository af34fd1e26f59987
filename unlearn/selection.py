"""Important data selection (ConMU, Eqs. 1-4 and 7)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unlearn.datasets import Samples
from unlearn.training import predict


def el2n(model: nn.Module, samples: Samples) -> Tensor:
    """The EL2N score of each sample: ‖softmax(f(θ, x)) − onehot(y)‖₂ (ConMU, Eq. 1).

    Taken in evaluation mode and without augmentation. Score i belongs to sample i, in the
    order of `samples`. (The authors' code scores a shuffled loader and then indexes the
    unshuffled data, so what it keeps is effectively random.)

    Returns:
        N values in [0, √2], float32, on the samples' device.
    """
    logits = predict(model, samples.images)
    error = logits.softmax(dim=1) - F.one_hot(samples.labels, logits.shape[1])
    scores: Tensor = torch.linalg.vector_norm(error, dim=1)
    return scores


def within_bounds(scores: Tensor, z_low: float, z_high: float) -> Tensor:
    """Which scores lie in the closed interval [m − z_low·s, m + z_high·s] (ConMU, Eqs. 2-4, 7).

    m and s are the mean and the (population) standard deviation of these scores alone, computed
    in double precision.

    Args:
        scores: N EL2N scores of D_f or of D_r, N >= 1.
        z_low, z_high: the z-bounds (z₁, z₂); neither is negative.

    Returns:
        N booleans.
    """
    exact = scores.double()
    std, mean = torch.std_mean(exact, correction=0)
    return (exact >= mean - z_low * std) & (exact <= mean + z_high * std)


def bound_that_keeps(scores: Tensor, share: float) -> float:
    """The z for which `within_bounds(scores, z, z)` keeps `share` of the samples.

    Halfway between the two distances from the mean that it has to separate; of samples with equal
    scores, all or none are kept.

    Args:
        scores: N EL2N scores, N >= 1.
        share: in [0, 1]; round(share · N) samples are kept.
    """
    exact = scores.double()
    std, mean = torch.std_mean(exact, correction=0)
    if std == 0:
        return 0.0  # every bound keeps all of them
    distances = ((exact - mean).abs() / std).sort().values
    count = round(share * len(distances))
    if count == len(distances):
        return float(distances[-1]) + 1.0
    nearest = float(distances[count - 1]) if count else 0.0
    return (nearest + float(distances[count])) / 2
