"""The plan of an experiment: every cell complete once, whoever runs it and whatever happens."""

import json
import signal
import time
from collections import Counter
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import BaseStorage

from pareto import storages
from pareto.ledger import MAX_ATTEMPTS, Ledger
from pareto.trials.outcome import Failure, Outcome, Ticket
from pareto.trials.plans import Cell, CellPlan, cell_key
from tests.pareto.cells import times_complete
from tests.pareto.processes import CONTEXT, run_at_once, start

NAME, SEED = "cheap-compare", 11
CELLS: list[Cell] = [
    {"method": method, "config": {"rate": rate, "clip": None}, "repeat": 0}
    for method in ("ft", "ga")
    for rate in (0.1, 1e-5, 1.0)
]
OUTCOME = Outcome({"ta": 90.0, "frm": 0.5, "rte": 1.0}, {})
BROKEN = Failure("ValueError: no")
LOST = Failure("its worker was ended by SIGKILL", lost=True)


def connect(url: str) -> BaseStorage:
    return storages.connect(url, writable=True)


def open_ledger(storage: BaseStorage) -> Ledger:
    return Ledger.open(storage, {"name": NAME}, {"kind": "comparison"}, {}, None)


def new_plan(storage: BaseStorage, cells: list[Cell] = CELLS) -> tuple[CellPlan, Ledger]:
    """The plan of another driver."""
    ledger = open_ledger(storage)
    return CellPlan(ledger, cells, SEED), ledger


def take(plan: CellPlan) -> Ticket:
    ticket = plan.take()
    assert ticket is not None
    return ticket


def carry_out(plan: CellPlan, ledger: Ledger) -> list[Cell]:
    """Complete all that there is to take; returns what was run here."""
    ran = []
    while not plan.carried_out:
        ticket = plan.take()
        if ticket is None:  # the rest is in others' hands
            time.sleep(0.01)
            continue
        ledger.complete(ticket, OUTCOME)
        ran.append(ticket.params)
    return ran


def states(storage: BaseStorage) -> list[str]:
    study = optuna.load_study(study_name=NAME, storage=storage)
    return [trial.state.name for trial in study.get_trials()]


def complete(storage: BaseStorage) -> Counter[str]:
    """How often each cell is complete, as Optuna itself reads it."""
    return times_complete(optuna.load_study(study_name=NAME, storage=storage).get_trials())


ONCE = Counter(map(cell_key, CELLS))


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_every_cell_is_run_once_in_the_order_given(kind: str, tmp_path: Path) -> None:
    url = f"{kind}:///{tmp_path}/studies"
    assert carry_out(*new_plan(connect(url))) == CELLS
    assert complete(connect(url)) == ONCE
    again, _ = new_plan(connect(url))
    assert again.carried_out
    assert again.take() is None


def test_all_cells_have_the_seed_of_the_plan(memory: BaseStorage) -> None:
    plan, _ = new_plan(memory)
    tickets = [take(plan) for _ in CELLS]
    assert [ticket.number for ticket in tickets] == list(range(len(CELLS)))
    assert {ticket.seed for ticket in tickets} == {SEED}


def test_what_runs_is_waited_for(memory: BaseStorage) -> None:
    plan, ledger = new_plan(memory, CELLS[:1])
    ticket = take(plan)
    assert plan.take() is None
    assert not plan.carried_out
    ledger.complete(ticket, OUTCOME)
    assert plan.carried_out


def test_cells_that_are_added_later_are_all_that_is_run_then(memory: BaseStorage) -> None:
    carry_out(*new_plan(memory, CELLS[:4]))
    assert carry_out(*new_plan(memory, CELLS[2:])) == CELLS[4:]
    assert complete(memory) == ONCE


words = st.text(max_size=4)
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words
cells = st.dictionaries(words, values | st.dictionaries(words, values, max_size=3), max_size=4)


@given(cells)
def test_a_cell_has_the_same_key_after_it_was_stored(cell: dict[str, Any]) -> None:
    assert cell_key(json.loads(json.dumps(cell))) == cell_key(cell)
    assert cell_key(dict(reversed(cell.items()))) == cell_key(cell)


@given(cells, cells)
def test_different_cells_have_different_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert cell_key(one) != cell_key(other) or one == other


# --- several drivers


def test_drivers_in_turn_run_every_cell_once(
    memory: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pareto.ledger.LOOK_SECONDS", 0.0)
    drivers = [new_plan(memory) for _ in range(2)]
    taken = [(ledger, take(plan)) for _ in range(3) for plan, ledger in drivers]
    assert [ticket.params for _, ticket in taken] == CELLS
    assert [plan.take() for plan, _ in drivers] == [None, None]
    for ledger, ticket in taken:
        ledger.complete(ticket, OUTCOME)
    assert all(plan.carried_out for plan, _ in drivers)
    assert complete(memory) == ONCE


def carry_out_in(url: str) -> list[Cell]:
    return carry_out(*new_plan(connect(url)))


def test_processes_at_once_carry_it_out_together(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    open_ledger(connect(url))
    ran = run_at_once(carry_out_in, [url] * 3)
    assert complete(connect(url)).keys() == ONCE.keys()
    # Two of them may begin a cell at the same moment: then both have run it.
    assert Counter(cell_key(cell) for of in ran for cell in of) == complete(connect(url))
    assert set(states(connect(url))) == {"COMPLETE"}


# --- failures


def test_a_cell_that_fails_is_given_up_and_the_others_are_run(memory: BaseStorage) -> None:
    plan, ledger = new_plan(memory)
    ledger.fail(take(plan), BROKEN)
    assert carry_out(plan, ledger) == CELLS[1:]
    assert states(memory) == ["FAIL"] + ["COMPLETE"] * (len(CELLS) - 1)


def test_a_new_plan_tries_a_failed_cell_again(memory: BaseStorage) -> None:
    plan, ledger = new_plan(memory)
    ledger.fail(take(plan), BROKEN)
    carry_out(plan, ledger)
    again, ledger = new_plan(memory)
    assert not again.carried_out
    assert carry_out(again, ledger) == CELLS[:1]
    assert complete(memory) == ONCE


def test_a_cell_that_failed_elsewhere_is_tried_here(memory: BaseStorage) -> None:
    plan, ledger = new_plan(memory, CELLS[:1])
    other, others = new_plan(memory, CELLS[:1])
    others.fail(take(other), BROKEN)
    assert other.carried_out
    assert carry_out(plan, ledger) == CELLS[:1]


def test_a_cell_that_was_given_up_here_counts_once_it_is_complete_elsewhere(
    memory: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pareto.ledger.LOOK_SECONDS", 0.0)
    plan, ledger = new_plan(memory, CELLS[:1])
    ledger.fail(take(plan), BROKEN)
    other, others = new_plan(memory, CELLS[:1])
    ticket = take(other)
    assert not plan.carried_out
    others.complete(ticket, OUTCOME)
    assert plan.carried_out


def test_a_cell_that_was_run_twice_stays_complete_while_it_runs_again(memory: BaseStorage) -> None:
    plan, ledger = new_plan(memory, CELLS[:1])
    ledger.complete(take(plan), OUTCOME)
    open_ledger(memory).start(CELLS[0], SEED)
    assert plan.carried_out


def test_a_lost_cell_is_begun_again_but_not_for_ever(memory: BaseStorage) -> None:
    plan, ledger = new_plan(memory, CELLS[:1])
    for _ in range(MAX_ATTEMPTS):
        assert not plan.carried_out
        ledger.fail(take(plan), LOST)
    assert plan.carried_out
    assert plan.take() is None
    assert states(memory) == ["FAIL"] * MAX_ATTEMPTS  # and nothing waits in the storage
    assert carry_out(*new_plan(memory, CELLS[:1])) == CELLS[:1]


def test_a_cell_that_was_put_back_is_begun_again(memory: BaseStorage) -> None:
    plan, ledger = new_plan(memory)
    ledger.put_back(take(plan))
    assert not plan.carried_out
    assert carry_out(plan, ledger) == CELLS


def test_losses_of_one_cell_do_not_count_against_another(memory: BaseStorage) -> None:
    plan, ledger = new_plan(memory)
    for _ in range(MAX_ATTEMPTS - 1):
        ledger.fail(take(plan), LOST)
    assert carry_out(plan, ledger) == CELLS


# --- drivers that are gone


def take_and_wait(url: str, taken: "SimpleQueue[Ticket]") -> None:
    plan, ledger = new_plan(connect(url))
    ledger.complete(take(plan), OUTCOME)
    taken.put(take(plan))
    signal.pause()


def test_the_cell_of_a_killed_driver_is_taken_over(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    taken = CONTEXT.SimpleQueue()
    process = start(take_and_wait, url, taken)
    ticket = taken.get()
    plan, ledger = new_plan(connect(url), [ticket.params])
    assert plan.take() is None  # as long as it lives
    process.kill()
    process.join()
    plan, ledger = new_plan(connect(url))
    assert ledger.take_over_lost() == (1, set())
    assert carry_out(plan, ledger) == CELLS[1:]
    assert complete(connect(url)) == ONCE
    assert states(connect(url)) == ["COMPLETE", "FAIL"] + ["COMPLETE"] * (len(CELLS) - 1)


def test_the_lease_of_a_cell_is_renewed(memory: BaseStorage) -> None:
    plan, ledger = new_plan(memory)
    take(plan)

    def beat() -> float:
        (trial,) = optuna.load_study(study_name=NAME, storage=memory).get_trials()
        return float(trial.user_attrs["lease"]["beat"])

    before = beat()
    ledger.renew_leases()
    assert beat() > before
    assert open_ledger(memory).take_over_lost()[0] == 0
