"""Search what a machine-unlearning method can reach, and choose from its Pareto front.

    import pareto

    if __name__ == "__main__":  # workers import this file
        study = pareto.search("digits", budget=200)
        print(study.pick(require=["frm >= 0.6"], prefer="ta").params)

A mistake in what is given raises `InputError`, and requirements that no trial satisfies
`NothingSatisfies`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pareto.choice.pick import NothingSatisfies
    from pareto.search_loop import search
    from pareto.study import Study, open_study
    from unlearn.errors import InputError

__all__ = ["InputError", "NothingSatisfies", "Study", "open_study", "search"]

_HOMES = {
    "InputError": "unlearn.errors",
    "NothingSatisfies": "pareto.choice.pick",
    "Study": "pareto.study",
    "open_study": "pareto.study",
    "search": "pareto.search_loop",
}

if not TYPE_CHECKING:  # which would take any name for one of ours

    def __getattr__(name: str) -> Any:
        # Imported on first use: these bring torch or Optuna along, and `--help` has to be quick.
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
