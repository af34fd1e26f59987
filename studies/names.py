"""Names that a definition, and flags, may choose from; nothing slow is imported for them."""

from typing import Literal, get_args

METHOD_NAMES = ("conmu", "ft", "ga", "iu", "retrain")
SamplerName = Literal["tpe", "nsga2", "nsga3", "gp", "qmc", "random"]
SAMPLER_NAMES: tuple[SamplerName, ...] = get_args(SamplerName)
DEFAULT_SAMPLER: SamplerName = "tpe"
