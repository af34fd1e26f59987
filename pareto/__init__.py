"""Search what a machine-unlearning method can reach, and choose from its Pareto front.

>>> import pareto, studies
>>> study = pareto.search(studies.load("digits"), budget=200)
>>> study.pick(require=["frm >= 0.6"], prefer="ta").params
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pareto.search_loop import search
    from pareto.study import Study, open_study

__all__ = ["Study", "open_study", "search"]

_HOMES = {"search": "pareto.search_loop", "Study": "pareto.study", "open_study": "pareto.study"}


def __getattr__(name: str) -> Any:
    # Imported on first use: these bring torch or Optuna along, and `--help` has to be quick.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
