"""One pass over the data, and every figure that depends on it."""

from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from objectives.frm import Metrics
from objectives.membership import infer_membership
from unlearn.datasets import Samples, stratified_subset
from unlearn.errors import InputError
from unlearn.seeds import generator
from unlearn.training import predict

ENOUGH_OF_CLASS = 30
"""How many members and non-members of the forgotten class the attack needs to be fitted on."""


@dataclass(frozen=True)
class EvaluationSets:
    """What a model is scored on. The samples lie on one device, all else on the CPU.

    Attributes:
        forget, retain: D_f and D_r.
        test: the test data to score on.
        members, nonmembers: positions in `retain` and `test` that the attack is fitted on.
        forgotten_class: the class of a class-wise request, else None.
        of_retained_class: by test sample, whether D_r holds its class.
    """

    forget: Samples
    retain: Samples
    test: Samples
    members: Tensor
    nonmembers: Tensor
    forgotten_class: int | None
    of_retained_class: Tensor

    @classmethod
    def build(
        cls,
        forget: Samples,
        retain: Samples,
        test: Samples,
        *,
        forgotten_class: int | None,
        seed: int,
        fresh_members: bool = False,
    ) -> "EvaluationSets":
        """Choose members and non-members: equally many of both, at most all of the test data.

        In a class-wise request both are taken from the forgotten class alone, where D_r and the
        test data hold at least `ENOUGH_OF_CLASS` samples of it.

        Args:
            fresh_members: take other members than without it, as far as D_r holds enough.

        Raises:
            InputError: all of a class is forgotten, and the test data hold no other.
        """
        of_retained_class = torch.isin(test.labels, retain.labels).cpu()
        if not of_retained_class.any():
            raise InputError(
                f"the test data to score on, {len(test)} image(s), hold no class but the forgotten"
                " one",
                "give more test images",
            )
        candidates = [torch.arange(len(retain)), torch.arange(len(test))]
        if forgotten_class is not None:
            matched = [
                (samples.labels.cpu() == forgotten_class).nonzero().flatten()
                for samples in (retain, test)
            ]
            if min(len(positions) for positions in matched) >= ENOUGH_OF_CLASS:
                candidates = matched
        count = min(len(positions) for positions in candidates)
        members, nonmembers = (
            positions[torch.randperm(len(positions), generator=generator(seed, "attack", part))]
            for positions, part in zip(candidates, ("members", "non-members"), strict=True)
        )
        if fresh_members:
            members = members.flip(0)
        return cls(
            forget,
            retain,
            test,
            members[:count].sort().values,
            nonmembers[:count].sort().values,
            forgotten_class,
            of_retained_class,
        )


class TestHalves(NamedTuple):
    """Positions in the test data: what the search sees, and what validates a chosen point."""

    search: Tensor
    report: Tensor


def split_test(labels: Tensor, seed: int) -> TestHalves:
    """Split the test data in two halves, stratified by class."""
    search = stratified_subset(labels, len(labels) // 2, generator(seed, "test halves"))
    rest = torch.ones(len(labels), dtype=torch.bool)
    rest[search] = False
    return TestHalves(search, rest.nonzero().flatten())


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model, in percent.

    Attributes:
        ta: test accuracy; without classes of which all samples are forgotten.
        ta_all_classes, ta_other_classes: test accuracy with and without the class of a class-wise
            request, and those of which all is forgotten; None where there is no such class, and
            where the test data hold no other.
        fa, ra: accuracy on D_f and on D_r.
        mia: MIA-efficacy.
        attack_accuracy: of the membership attack on what it was fitted on; None in records that
            were made before it was looked at.
        attack_samples: how many members that was, and as many non-members; None likewise.
    """

    ta: float
    fa: float
    ra: float
    mia: float
    attack_accuracy: float | None = None
    attack_samples: int | None = None
    ta_all_classes: float | None = None
    ta_other_classes: float | None = None

    @property
    def metrics(self) -> Metrics:
        """What FRM compares."""
        return Metrics(fa=self.fa, ra=self.ra, mia=self.mia)

    def as_dict(self) -> dict[str, float]:
        """The figures by name, those that do not apply left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def evaluate(model: nn.Module, sets: EvaluationSets, attack: str) -> Evaluation:
    """Score a model: one forward pass over D_f, D_r and the test data.

    Raises:
        FloatingPointError: the model's answers are not finite.
    """
    forget, retain, test = (_Answers.of(model, s) for s in (sets.forget, sets.retain, sets.test))
    inference = infer_membership(
        attack,
        retain.confidence[sets.members.numpy()],
        test.confidence[sets.nonmembers.numpy()],
        forget.confidence,
    )
    retained = others = sets.of_retained_class.numpy()
    if sets.forgotten_class is not None:
        others = retained & (sets.test.labels.cpu().numpy() != sets.forgotten_class)
    both = sets.forgotten_class is not None or not retained.all()
    return Evaluation(
        ta=100.0 * float(test.correct[retained].mean()),
        fa=100.0 * float(forget.correct.mean()),
        ra=100.0 * float(retain.correct.mean()),
        mia=inference.efficacy,
        attack_accuracy=inference.accuracy,
        attack_samples=len(sets.members),
        ta_all_classes=100.0 * float(test.correct.mean()) if both else None,
        ta_other_classes=100.0 * float(test.correct[others].mean())
        if both and others.any()
        else None,
    )


class _Answers(NamedTuple):
    """Per sample: whether the top answer is right, and the probability given to the true label."""

    correct: NDArray[np.bool_]
    confidence: NDArray[np.float64]

    @classmethod
    def of(cls, model: nn.Module, samples: Samples) -> "_Answers":
        logits = predict(model, samples.images)
        if not bool(logits.isfinite().all()):
            raise FloatingPointError("the unlearned model's answers are not finite")
        # Double precision keeps confidences apart that single precision rounds to 1.
        confidence = logits.double().softmax(dim=1).gather(1, samples.labels[:, None]).flatten()
        correct = logits.argmax(dim=1) == samples.labels
        return cls(correct.cpu().numpy(), confidence.cpu().numpy())
