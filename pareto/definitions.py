"""Which definition a name means."""

import studies
from pareto import storages
from pareto.ledger import Ledger, study_kinds
from pareto.study import COMMANDS
from pareto.urls import shown
from studies import Definition
from unlearn.errors import InputError


def find_definition(name: str, url: str) -> Definition:
    """The definition that a name means: of a persisted study, built in, or in a file.

    Raises:
        InputError: there is none, or the storage is unusable.
    """
    if storages.exists(url) and not name.endswith(".toml"):
        storage = storages.connect(url, writable=False)
        kind = study_kinds(storage).get(name)
        if kind in COMMANDS:
            raise InputError(
                f"the study {name!r} in {shown(url)} is a {kind}, and no problem to search",
                "name the study, or the definition, that it was made of",
            )
        if kind == "search":
            stored = Ledger(storage, name).note("definition")
            return studies.validate(stored, f"the study {name!r} in {shown(url)}")
    return studies.load(name)
