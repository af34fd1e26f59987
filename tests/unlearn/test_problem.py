"""What no forget request to a model can be."""

from dataclasses import replace

import pytest
import torch

from unlearn.datasets import Samples
from unlearn.problem import Problem

IMAGES, LABELS = torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 9, 4])


@pytest.mark.parametrize("part", ["forget", "retain"])
@pytest.mark.parametrize(
    ("samples", "problem_told"),
    [
        (Samples(IMAGES[:0], LABELS[:0]), "no sample"),
        (Samples(IMAGES, LABELS[:2]), "3 images"),
        (Samples(IMAGES, LABELS + 1), "1 to 10, and the classes 0 to 9"),
        (Samples(IMAGES, LABELS - 100), "-100 to -91"),
    ],
)
def test_samples_that_do_not_fit_are_refused(
    problem: Problem, part: str, samples: Samples, problem_told: str
) -> None:
    wrong = {part: samples}
    with pytest.raises(ValueError, match=problem_told):
        replace(problem, **wrong)  # type: ignore[arg-type]
