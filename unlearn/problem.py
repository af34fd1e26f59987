"""What an unlearning method is given, and what it gives back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from unlearn.datasets import Samples
from unlearn.models import ModelFactory
from unlearn.pruning import Masks
from unlearn.stopwatch import Phase
from unlearn.training import Recipe

StateDict = dict[str, Tensor]


@dataclass(frozen=True)
class Problem:
    """One forget request to one model. Everything lies on `device`.

    Attributes:
        original: θ_o in evaluation mode; methods work on a copy.
        build: makes fresh networks of θ_o's architecture.
        recipe: how θ_o was trained; retraining and proxies follow it.
        forget, retain: D_f and D_r, uint8 images.
        device: where the method runs.

    Raises:
        ValueError: there is nothing to forget or to retain, or labels do not fit the images or the
            network.
    """

    original: nn.Module
    build: ModelFactory
    recipe: Recipe
    forget: Samples
    retain: Samples
    device: torch.device

    def __post_init__(self) -> None:
        for name, (images, labels) in (("forget", self.forget), ("retain", self.retain)):
            if not len(labels):
                raise ValueError(f"there is no sample to {name}")
            if len(images) != len(labels):
                raise ValueError(f"{len(images)} images to {name} have {len(labels)} labels")
            low, high = labels.aminmax()
            if low < 0 or high >= self.build.classes:
                raise ValueError(
                    f"labels to {name} are {low} to {high}, and the classes 0 to"
                    f" {self.build.classes - 1}"
                )


@dataclass(frozen=True)
class Precomputed:
    """Intermediate results that do not depend on what is searched, made once per study.

    A method that uses one charges its stopwatch with the recorded phase, as if it had made it.

    Attributes:
        pruning_rate: the rate θ_o was pruned at before it scored the samples.
        forget_scores, retain_scores: EL2N scores of D_f and D_r, in their order.
        scoring: what scoring cost.
        proxies: state dicts of the proxy after 0, 1, 2, … epochs.
        proxy_training: what each of them cost, from initialisation on.
    """

    pruning_rate: float
    forget_scores: Tensor
    retain_scores: Tensor
    scoring: Phase
    proxies: Sequence[StateDict]
    proxy_training: Sequence[Phase]

    def to(self, device: torch.device) -> "Precomputed":
        """The same with its scores on a device; proxies are moved there as they are needed."""
        return replace(
            self,
            forget_scores=self.forget_scores.to(device),
            retain_scores=self.retain_scores.to(device),
        )

    def free_of_charge(self) -> "Precomputed":
        """The same work, for no seconds."""
        return replace(
            self,
            scoring=Phase(self.scoring.work, 0.0),
            proxy_training=[Phase(cost.work, 0.0) for cost in self.proxy_training],
        )


@dataclass(frozen=True)
class Unlearned:
    """The outcome of a method.

    Attributes:
        model: θ_u in evaluation mode, a plain network without hooks.
        masks: the pruned weights, which are zero in `model`.
        sizes: how many samples each selection kept, by name.
        flags: what a reader of the figures has to know, such as `empty_selection`.
    """

    model: nn.Module
    masks: Masks
    sizes: dict[str, int]
    flags: tuple[str, ...] = ()
