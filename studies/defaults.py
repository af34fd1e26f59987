"""What a search does unless a flag or the definition says otherwise."""

from typing import Literal, get_args

SamplerName = Literal["tpe", "nsga2", "nsga3", "gp", "qmc", "random"]
SAMPLER_NAMES: tuple[SamplerName, ...] = get_args(SamplerName)

STUDY = "digits"
BUDGET = 200
SAMPLER: SamplerName = "tpe"
MAX_FAILURES = 20
"""Failures in a row, without a success, that stop a search."""
