"""What can be studied: validated definitions, and the built-in ones, one TOML file each."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studies.definition import Definition, validate
    from studies.loading import builtin_names, load

__all__ = ["Definition", "builtin_names", "load", "validate"]

if not TYPE_CHECKING:  # which would take any name for one of ours

    def __getattr__(name: str) -> Any:
        # Imported on first use: a definition brings torch along, and `--help` has to be quick.
        if name in __all__:
            home = "studies.definition" if name in ("Definition", "validate") else "studies.loading"
            return getattr(import_module(home), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
