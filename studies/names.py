"""Names that a definition, and flags, may choose from; nothing slow is imported for them."""

from typing import Literal, get_args

MethodName = Literal["conmu", "ft", "ga", "iu", "retrain"]
METHOD_NAMES: tuple[MethodName, ...] = get_args(MethodName)
SamplerName = Literal["tpe", "nsga2", "nsga3", "gp", "qmc", "random"]
SAMPLER_NAMES: tuple[SamplerName, ...] = get_args(SamplerName)
DEFAULT_SAMPLER: SamplerName = "tpe"
