"""The unlearning methods by name, each in a file of its own with its config and search space."""

from unlearn.methods import conmu, retrain
from unlearn.methods._method import Choice, FloatRange, IntRange, Method, Range, StartingPoint

METHODS: dict[str, Method] = {method.name: method for method in (conmu.METHOD, retrain.METHOD)}

__all__ = ["METHODS", "Choice", "FloatRange", "IntRange", "Method", "Range", "StartingPoint"]
