"""What every storage promises."""

import math
import os
import signal
import time
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from pareto import storages
from pareto.ledger import MAX_ATTEMPTS, Counts
from pareto.trials.outcome import Failure, Outcome, Ticket
from tests.pareto.cheap import SEED, open_ledger, run, score
from tests.pareto.processes import CONTEXT, run_at_once, start
from unlearn.errors import InputError

LONG = "long" * 15_000


def connect(url: str) -> BaseStorage:
    return storages.connect(url, writable=True)


def trials(url: str) -> list[optuna.trial.FrozenTrial]:
    storage = storages.connect(url, writable=False)
    return optuna.load_study(study_name="cheap", storage=storage).get_trials()


def test_reading_what_does_not_exist_is_refused_and_creates_nothing(
    place: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="there is no storage"):
        storages.connect(place, writable=False)
    assert not storages.exists(place)
    assert list(tmp_path.iterdir()) == []


def test_it_exists_once_a_study_is_in_it(place: str) -> None:
    open_ledger(connect(place))
    assert storages.exists(place)


def test_what_is_written_is_read_back_to_the_last_bit(place: str) -> None:
    values = [math.pi, -1e-300, 1e300]
    params = {"x": 1 / 3, "y": 0.1 + 0.2}
    notes: dict[str, Any] = {
        "figures": [math.e, 5e-324],
        "text": "θ δ",
        "long": LONG,
        "none": None,
    }
    study = optuna.create_study(study_name="s", storage=connect(place), directions=["minimize"] * 3)
    study.enqueue_trial(params)
    trial = study.ask({"x": FloatDistribution(0, 1), "y": FloatDistribution(1e-9, 1, log=True)})
    for key, note in notes.items():
        trial.set_user_attr(key, note)
    study.set_user_attr("notes", notes)
    study.tell(trial, values)

    read = optuna.load_study(study_name="s", storage=storages.connect(place, writable=False))
    (stored,) = read.get_trials()
    assert (stored.values, stored.params, stored.user_attrs) == (values, params, notes)
    assert read.user_attrs == {"notes": notes}


def test_two_connections_see_what_the_other_writes(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pareto.ledger.LOOK_SECONDS", 0.0)
    first, second = open_ledger(connect(place)), open_ledger(connect(place))
    for turn, ledger in enumerate([first, second, second, first]):
        ticket = ledger.ask(10, SEED)
        assert ticket is not None
        ledger.complete(ticket, score(ticket.params))
        assert first.counts() == second.counts() == Counts(turn + 1, 0, 0)


def test_a_killed_search_is_gone_on_with(place: str) -> None:
    run(open_ledger(connect(place)), 4)
    queue: SimpleQueue[int] = CONTEXT.SimpleQueue()
    process = start(_ask_and_wait, place, queue)
    number = queue.get()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()

    ledger = open_ledger(connect(place))
    assert ledger.take_over_lost() == (1, set())
    run(ledger, 10)
    assert ledger.counts() == Counts(complete=10, failed=1, running=0)
    (again,) = [trial for trial in trials(place) if "retry_of" in trial.user_attrs]
    assert again.user_attrs["retry_of"] == number
    assert again.params == trials(place)[number].params
    assert again.state == TrialState.COMPLETE


def _ask_and_wait(url: str, queue: "SimpleQueue[int]") -> None:
    ticket = open_ledger(connect(url)).ask(100, SEED)
    assert ticket is not None
    queue.put(ticket.number)
    time.sleep(3600)


def test_a_lost_trial_is_tried_again_but_not_for_ever(place: str) -> None:
    ledger = open_ledger(connect(place))
    params: list[Any] = []
    for _ in range(MAX_ATTEMPTS + 1):
        ticket = ledger.ask(1, SEED)
        assert ticket is not None
        params.append(ticket.params)
        ledger.fail(ticket, Failure("its worker was ended by SIGKILL", lost=True))
    assert params[0] == params[1] == params[2] != params[3]


def test_a_driver_that_lives_keeps_its_trials(place: str) -> None:
    first, second = open_ledger(connect(place)), open_ledger(connect(place))
    ticket = first.ask(10, SEED)
    assert ticket is not None
    for _ in range(3):
        assert second.take_over_lost()[0] == 0
        first.renew_leases()
    first.complete(ticket, score(ticket.params))
    assert second.take_over_lost() == (0, set())


def test_the_late_report_of_a_trial_taken_over_is_refused(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pareto.leases.LEASE_SECONDS", 0.0)
    first, second = open_ledger(connect(place)), open_ledger(connect(place))
    ticket = first.ask(10, SEED)
    assert ticket is not None
    assert [second.take_over_lost(), second.take_over_lost()] == [(0, {0}), (1, set())]
    first.complete(ticket, score(ticket.params))
    assert second.counts() == Counts(complete=0, failed=1, running=0)


def test_a_run_of_an_experiment_is_seen_by_others_from_its_beginning_on(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pareto.ledger.LOOK_SECONDS", 0.0)
    cell = {"method": "ft", "config": {"rate": 0.1 + 0.2, "clip": None}, "repeat": 2}
    first, second = open_ledger(connect(place)), open_ledger(connect(place))
    ticket = first.start(cell, SEED)
    assert ticket == Ticket(0, cell, SEED)
    (running,) = second.trials()
    assert (running.number, running.state, running.params) == (0, "running", cell)
    assert trials(place)[0].user_attrs["lease"]["pid"] == os.getpid()
    outcome = score({"x": 0.5, "y": 0.5, "k": 3})
    first.complete(ticket, outcome)
    (complete,) = second.trials()
    assert (complete.state, complete.params) == ("complete", cell)
    assert (complete.metrics, complete.run) == (outcome.metrics, outcome.run)
    assert second.start(cell, SEED).number == 1


def test_drivers_that_open_and_search_at_once_make_exactly_the_budget(place: str) -> None:
    ran = run_at_once(_search, [(place, 12)] * 3)
    assert sum(ran) == 12
    states = [trial.state for trial in trials(place)]
    assert states.count(TrialState.COMPLETE) == 12
    assert TrialState.RUNNING not in states
    assert [trial.number for trial in trials(place)] == list(range(len(states)))


def _search(search: tuple[str, int]) -> int:
    url, budget = search
    return run(open_ledger(connect(url)), budget)


def test_the_same_search_gives_the_same_trials_in_every_place(place: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path}/other.db"
    for url in (place, other):
        run(open_ledger(connect(url)), 8)
    assert [t.params for t in trials(place)] == [t.params for t in trials(other)]


def test_what_is_no_outcome_does_not_become_one(place: str) -> None:
    ledger = open_ledger(connect(place))
    ticket = ledger.ask(10, SEED)
    assert ticket is not None
    with pytest.raises(KeyError):
        ledger.complete(ticket, Outcome({"ta": 1.0}, {}))
    assert ledger.counts().complete == 0
