"""Which trials there shall be: a budget of a search's, or the cells of an experiment."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pareto.ledger import MAX_ATTEMPTS, Ledger
from pareto.trials.outcome import Ticket

Cell = Mapping[str, Any]
"""One run of an experiment, as JSON can hold it; it means the same wherever it is run."""


class Plan(Protocol):
    """Several drivers may follow the same plan on one study."""

    @property
    def carried_out(self) -> bool:
        """Nothing is left to do, here or elsewhere."""

    def take(self) -> Ticket | None:
        """Begin the next trial; None if there is none at the moment."""


class BudgetPlan:
    """So many complete trials, of parameters that the study's sampler proposes."""

    def __init__(self, ledger: Ledger, budget: int, study_seed: int) -> None:
        self._ledger = ledger
        self._budget = budget
        self._study_seed = study_seed

    @property
    def carried_out(self) -> bool:
        return self._ledger.counts().complete >= self._budget

    def take(self) -> Ticket | None:
        return self._ledger.ask(self._budget, self._study_seed)


class CellPlan:
    """Every cell complete once.

    A cell that fails is given up for the time of this plan, unless its worker was lost: then it is
    begun again, `MAX_ATTEMPTS` times in all. Two drivers may begin the same cell at the same
    moment: that is work done twice, and changes no result.
    """

    def __init__(self, ledger: Ledger, cells: Sequence[Cell], seed: int) -> None:
        """
        Args:
            seed: of every cell, so that they differ in nothing but what they say.
        """
        self._ledger = ledger
        self._cells = {cell_key(cell): cell for cell in cells}
        self._seed = seed
        self._begun: set[int] = set()

    @property
    def carried_out(self) -> bool:
        states = self._states()
        return all(states.get(key) in ("complete", "given up") for key in self._cells)

    def take(self) -> Ticket | None:
        states = self._states()
        key = next((key for key in self._cells if key not in states), None)
        if key is None:
            return None
        ticket = self._ledger.start(self._cells[key], self._seed)
        self._begun.add(ticket.number)
        return ticket

    def _states(self) -> dict[str, str]:
        """By key, whether a cell is `complete`, `running` or `given up`; the others are open."""
        states: dict[str, str] = {}
        lost: dict[str, int] = {}
        for trial in self._ledger.trials():
            key = cell_key(trial.params)
            if trial.state in ("complete", "running"):
                if states.get(key) != "complete":
                    states[key] = trial.state
            elif trial.number in self._begun:
                lost[key] = lost.get(key, 0) + trial.lost
                if not trial.lost or lost[key] >= MAX_ATTEMPTS:
                    states.setdefault(key, "given up")
        return states


def cell_key(cell: Cell) -> str:
    """The same for equal cells, and for no others."""
    return json.dumps(cell, sort_keys=True)
