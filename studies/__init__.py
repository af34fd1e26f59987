"""What can be studied: validated definitions, and the built-in ones, one TOML file each."""

from studies.definition import Definition
from studies.loading import builtin_names, load, validate

__all__ = ["Definition", "builtin_names", "load", "validate"]
