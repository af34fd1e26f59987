"""The training loop: θ_o, the retrained models, the proxies and all fine-tuning go through it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.sgd import sgd

from unlearn.augmentation import crop_and_mirror, draw_crops
from unlearn.datasets import Samples, to_unit
from unlearn.models import ModelFactory
from unlearn.precision import Precision, multiplying
from unlearn.pruning import Masks, mask_gradients, mask_weights
from unlearn.recording import WARM_UP, Recording, is_steady, replays
from unlearn.seeds import derive_seed, seeded_globals
from unlearn.seeds import generator as make_generator
from unlearn.stopwatch import Work

EVALUATION_BATCH = {"cpu": 128, "cuda": 1000}
"""By the kind of device: on a CPU a layer's answers have to fit its cache."""

EVALUATION_PIXELS = 2**22
"""At most in a batch, for the memory's sake: VGG-16 keeps 0.5 kB of answers for each."""

WORTH_RECORDING = 20
"""From this many steps on, recording one as a CUDA graph pays."""

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits B×C, labels B, positions B in the training samples) -> scalar loss."""


@dataclass(frozen=True)
class Recipe:
    """How to train with SGD.

    Attributes:
        epochs: passes over the data; also the horizon of the schedule.
        learning_rate: at the start; `schedule` says how it goes on: `constant`, or `cosine`
            down to 0 at the end of `epochs`, updated at every step.
        momentum, weight_decay: of SGD.
        batch_size: samples per step; a last batch of one sample joins the one before it.
        augment: whether `train_from_scratch` crops and mirrors the images at random.
        precision: of the multiplications.
    """

    epochs: int
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 128
    schedule: Literal["constant", "cosine"] = "constant"
    augment: bool = False
    precision: Precision = "float32"

    def rate_at(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of the step-th update, counted from 0."""
        if self.schedule == "constant":
            return self.learning_rate
        progress = step / max(1, self.epochs * steps_per_epoch)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def batch_bounds(samples: int, batch_size: int) -> list[tuple[int, int]]:
    """Where each batch begins and ends; a last batch of one sample joins the one before it,
    because batch norm cannot be trained on a single sample."""
    starts = list(range(0, samples, batch_size))
    if not starts:
        return []
    if len(starts) > 1 and samples - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], samples], strict=True))


def work_of_training(
    model: nn.Module, samples: int, recipe: Recipe, epochs: int | None = None
) -> Work:
    """The updates of `train`, and the samples that go through.

    Args:
        model: what is trained, or another of the same architecture.
        samples: how many there are.
        epochs: as `train` takes them.
    """
    epochs = recipe.epochs if epochs is None else epochs
    bounds = batch_bounds(samples, recipe.batch_size)
    steps = epochs * len(bounds)
    if not _is_worth_recording(model, samples, recipe):
        return Work(steps, epochs * samples, eager=steps)
    usual = epochs * sum(end - start == recipe.batch_size for start, end in bounds)
    eager = steps - usual + min(usual, WARM_UP)
    return Work(steps, epochs * samples, eager, recordings=int(usual > WARM_UP))


def _is_worth_recording(model: nn.Module, samples: int, recipe: Recipe) -> bool:
    """The whole training counts, so that what is stopped early is its beginning."""
    return recipe.epochs * (samples // recipe.batch_size) >= WORTH_RECORDING and is_steady(model)


def cross_entropy(logits: Tensor, labels: Tensor, _positions: Tensor) -> Tensor:
    """Mean cross-entropy in nats; the loss of plain training."""
    return F.cross_entropy(logits, labels)


def train(
    model: nn.Module,
    samples: Samples,
    recipe: Recipe,
    *,
    generator: torch.Generator,
    augmentation: torch.Generator | None = None,
    epochs: int | None = None,
    loss: Loss = cross_entropy,
    masks: Masks | None = None,
    clip_norm: float | None = None,
    after_epoch: Callable[[int], None] | None = None,
) -> None:
    """Train `model` in place, in training mode throughout; it is left in evaluation mode.

    Args:
        samples: on the model's device; shuffled anew in every epoch. None at all: no step. A
            single one goes twice into its batch, because batch norm cannot be trained on one.
        generator: the order of the samples; layers that draw at random, such as dropout, are seeded
            with its seed.
        augmentation: crops and mirrors the images at random, every time anew; None does not.
        epochs: stop after so many epochs of the recipe's schedule (default: all of them).
        loss: of one batch.
        masks: weights to hold at zero.
        clip_norm: clip the gradient to this 2-norm.
        after_epoch: called with 1, 2, … after each epoch; may read the model, not change its mode.
    """
    model.train()
    bounds = [(0, 2)] if len(samples) == 1 else batch_bounds(len(samples), recipe.batch_size)
    epochs = recipe.epochs if epochs is None else epochs
    parameters = [p for p in model.parameters() if p.requires_grad]
    momenta: list[Tensor | None] = [None] * len(parameters)
    device = samples.labels.device
    rates = _rates(recipe, epochs, len(bounds), device)

    def update(rate: Tensor, positions: Tensor, crops: Tensor | None = None) -> None:
        for parameter in parameters:
            parameter.grad = None
        images = samples.images[positions]
        if crops is not None:
            images = crop_and_mirror(images, crops)
        with multiplying(recipe.precision, device):
            logits = model(to_unit(images))
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        loss(logits, samples.labels[positions], positions).backward()
        if masks is not None:
            mask_gradients(model, masks)
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        _descend(parameters, momenta, recipe, rate)

    is_recorded = replays(device) and _is_worth_recording(model, len(samples), recipe)
    usual_update = Recording(update) if is_recorded else update
    steps = iter(rates)
    with seeded_globals(derive_seed(generator.initial_seed(), "layers"), device):
        for epoch in range(epochs):
            order = torch.randperm(len(samples), generator=generator)
            order = order.repeat(2) if len(samples) == 1 else order
            drawn = [order.to(device)]
            if augmentation is not None:
                drawn.append(draw_crops(len(order), augmentation).to(device))
            for start, end in bounds:
                is_usual = end - start == recipe.batch_size
                carry_out = usual_update if is_usual else update
                carry_out(next(steps), *(part[start:end] for part in drawn))
            if after_epoch is not None:
                after_epoch(epoch + 1)
    model.eval()


def _rates(recipe: Recipe, epochs: int, steps_per_epoch: int, device: torch.device) -> Tensor:
    """The learning rate of every step, in the precision that the device's updates take it in."""
    rates = [recipe.rate_at(step, steps_per_epoch) for step in range(epochs * steps_per_epoch)]
    precision = torch.float64 if device.type == "cpu" else torch.float32
    return torch.tensor(rates, dtype=precision, device=device)


@torch.no_grad()
def _descend(
    parameters: list[nn.Parameter], momenta: list[Tensor | None], recipe: Recipe, rate: Tensor
) -> None:
    """One update as of `torch.optim.SGD`, without that class: to make one loads torch's compiler,
    which takes longer than a short training.

    Args:
        momenta: of each parameter, or None before its first update; changed in place.
    """
    moved = [(n, p, p.grad) for n, p in enumerate(parameters) if p.grad is not None]
    theirs = [momenta[n] for n, *_ in moved] if recipe.momentum else []
    if any(momentum is not None for momentum in theirs):
        # What no gradient has reached before, as in layers that are skipped at random, is at rest.
        theirs = [
            torch.zeros_like(p) if momentum is None else momentum
            for momentum, (_, p, _) in zip(theirs, moved, strict=True)
        ]
    sgd(
        [parameter for _, parameter, _ in moved],
        [gradient for *_, gradient in moved],
        theirs,
        fused=True,
        lr=rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        dampening=0.0,
        nesterov=False,
        maximize=False,
    )
    for (n, *_), momentum in zip(moved, theirs, strict=False):
        momenta[n] = momentum


def train_from_scratch(
    build: ModelFactory,
    samples: Samples,
    recipe: Recipe,
    seed: int,
    *,
    epochs: int | None = None,
    masks: Masks | None = None,
    after_epoch: Callable[[int, nn.Module], None] | None = None,
) -> nn.Module:
    """A new network trained on `samples`: how θ_o, the retrained models and the proxies are made.

    Args:
        seed: decides initialisation, order and augmentation, each through a stream of its own.
        epochs: stop after so many epochs of the recipe's schedule (default: all of them), so that
            a short training equals the beginning of a long one. 0: the untrained network.
        masks: weights to hold at zero, from the initialisation on.
        after_epoch: called with (k, model in training mode) after epoch k = 1, 2, ….
    """
    model = build(derive_seed(seed, "initialisation"), samples.labels.device)
    if masks is not None:
        mask_weights(model, masks)
    train(
        model,
        samples,
        recipe,
        epochs=epochs,
        masks=masks,
        generator=make_generator(seed, "order"),
        augmentation=make_generator(seed, "augmentation") if recipe.augment else None,
        after_epoch=None if after_epoch is None else lambda epoch: after_epoch(epoch, model),
    )
    return model


@torch.no_grad()
def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Logits N×C of `model` in evaluation mode, without gradient; the model's mode is restored.

    Args:
        images: N×C×H×W on the model's device, uint8 or float in pixel space; N ≥ 1.
    """
    was_training = model.training
    model.eval()
    height, width = images.shape[-2:]
    batch = min(EVALUATION_BATCH[images.device.type], EVALUATION_PIXELS // (height * width) or 1)
    logits = torch.cat([model(to_unit(chunk)) for chunk in images.split(batch)])
    model.train(was_training)
    return logits
