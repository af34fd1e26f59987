"""What one unlearning request does to one model: tensors in, model out."""

from unlearn.errors import InputError
from unlearn.methods import METHODS
from unlearn.problem import Precomputed, Problem, Unlearned
from unlearn.stopwatch import Phase, Stopwatch, Work

__all__ = [
    "METHODS",
    "InputError",
    "Phase",
    "Precomputed",
    "Problem",
    "Stopwatch",
    "Unlearned",
    "Work",
]
