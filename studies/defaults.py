"""What a search or an experiment does unless a flag or the definition says otherwise, and the names
that flags take; nothing slow is imported for it."""

from typing import Literal, get_args

SamplerName = Literal["tpe", "nsga2", "nsga3", "gp", "qmc", "random"]
SAMPLER_NAMES: tuple[SamplerName, ...] = get_args(SamplerName)
MethodName = Literal["conmu", "ft", "ga", "iu", "retrain"]
METHOD_NAMES: tuple[MethodName, ...] = get_args(MethodName)
EngineName = Literal["local", "ray"]
ENGINE_NAMES: tuple[EngineName, ...] = get_args(EngineName)

STUDY = "digits"
BUDGET = 200
SAMPLER: SamplerName = "tpe"
ENGINE: EngineName = "local"
WORKSPACE = "pareto-search-workspace"
MAX_FAILURES = 20
"""Failures in a row, without a success, that stop a search."""

PREFERENCES = ("ta", "frm", "rte", "knee")
"""What may decide among trials that satisfy every requirement."""

REPEATS = 3
CONTESTANTS = (
    *("retrain", "retrain+omp", "ft", "ft+omp", "ga", "ga+omp", "iu", "iu+omp"),
    "conmu",
)
"""Who takes part in a comparison; +omp is "on the pruned model"."""
