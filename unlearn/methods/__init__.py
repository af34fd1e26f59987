"""The unlearning methods by name, each in a file of its own with its config and search space."""

from unlearn.methods import conmu, ft, ga, iu, retrain
from unlearn.methods._method import Choice, FloatRange, IntRange, Method, Range, StartingPoint

METHODS: dict[str, Method] = {
    module.METHOD.name: module.METHOD for module in (conmu, ft, ga, iu, retrain)
}

__all__ = ["METHODS", "Choice", "FloatRange", "IntRange", "Method", "Range", "StartingPoint"]
