"""What a search or an experiment does unless a flag says otherwise, and the names that flags take;
nothing slow is imported for it."""

from typing import Literal, get_args

EngineName = Literal["local", "ray"]
ENGINE_NAMES: tuple[EngineName, ...] = get_args(EngineName)

STUDY = "digits"
BUDGET = 200
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
