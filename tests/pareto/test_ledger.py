"""The ledger: identity, what is asked and told, and an exact budget."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from pareto import storages
from pareto.choice.requirements import parse
from pareto.leases import Driver
from pareto.ledger import DECISION_SECONDS, Counts, Ledger, StudyMismatch, study_kinds
from pareto.sampling.aim import Aim
from pareto.trials.outcome import Failure, Ticket
from tests.pareto.cheap import (
    SEED,
    SPACE,
    STARTING_POINTS,
    ask,
    frozen,
    open_ledger,
    run,
    sampler,
    score,
    states,
)
from tests.pareto.processes import run_at_once
from unlearn.seeds import derive_seed


def connect(url: str) -> BaseStorage:
    return storages.connect(url, writable=True)


# --- identity


def test_a_study_stores_its_definition_and_identity(ledger: Ledger) -> None:
    assert ledger.note("definition") == {"name": "cheap", "seed": SEED}
    assert ledger.note("identity") == {"seed": SEED}


def test_opening_with_the_same_identity_goes_on(memory: BaseStorage, ledger: Ledger) -> None:
    run(ledger, 2)
    assert open_ledger(memory).counts() == Counts(complete=2, failed=0, running=0)


def test_opening_with_another_identity_lists_the_fields_that_differ(memory: BaseStorage) -> None:
    run(open_ledger(memory, model="small-cnn", epochs=3), 1)
    with pytest.raises(StudyMismatch) as caught:
        open_ledger(memory, model="resnet18", epochs=3, limit=5)
    assert "model is small-cnn there and resnet18 here" in caught.value.problem
    assert "limit is None there and 5 here" in caught.value.problem
    assert "epochs" not in caught.value.problem


def test_drivers_that_decide_at_the_same_moment_go_by_the_same(
    memory: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = open_ledger(memory), open_ledger(memory)
    monkeypatch.setattr(slow, "set_note", partial(_set_after_a_while, slow.set_note))
    decided: list[object] = []

    def decide(ledger: Ledger, price: float) -> None:
        ledger.decide({"price": price})
        decided.append(ledger.note("price"))

    threads = [Thread(target=decide, args=args) for args in ((slow, 1.0), (quick, 2.0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    decide(open_ledger(memory), 3.0)
    assert len(decided) == 3
    assert len(set(decided)) == 1


def _set_after_a_while(set_note: Callable[[str, object], None], key: str, value: object) -> None:
    time.sleep(DECISION_SECONDS / 2)
    set_note(key, value)


def test_opening_with_another_identity_changes_nothing(memory: BaseStorage) -> None:
    ledger = open_ledger(memory, epochs=3)
    ledger.set_note("fingerprint", "of what was prepared")
    with pytest.raises(StudyMismatch):
        open_ledger(memory, epochs=4)
    assert ledger.note("identity") == {"seed": SEED, "epochs": 3}


def test_a_study_for_which_nothing_was_prepared_may_become_another(memory: BaseStorage) -> None:
    first, again = open_ledger(memory, epochs=3), open_ledger(memory, epochs=3)
    second = open_ledger(memory, epochs=4)
    second.refuse_change()
    assert second.note("identity") == {"seed": SEED, "epochs": 4}
    for late in (first, again):
        with pytest.raises(StudyMismatch, match="epochs is 4 there and 3 here"):
            late.refuse_change()


def test_a_fingerprint_that_differs_alone_is_told(memory: BaseStorage) -> None:
    run(open_ledger(memory, None, **{"data.sha256": "aaa"}), 1)
    with pytest.raises(StudyMismatch, match=r"another one: data\.sha256 differs"):
        open_ledger(memory, None, **{"data.sha256": "bbb"})


def test_a_study_of_another_program_is_refused(memory: BaseStorage) -> None:
    foreign = optuna.create_study(
        study_name="cheap", storage=memory, directions=["maximize", "maximize", "minimize"]
    )
    foreign.ask(SPACE)
    with pytest.raises(StudyMismatch, match="not made by pareto-search"):
        open_ledger(memory)


def test_a_driver_that_came_first_by_a_moment_is_no_other_program(
    memory: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Ledger._frozen

    def be_overtaken(ledger: Ledger) -> list[FrozenTrial]:
        # Its first look comes between the note that is not there yet and the first trial.
        monkeypatch.setattr(Ledger, "_frozen", look)
        ask(open_ledger(memory))
        return look(ledger)

    monkeypatch.setattr(Ledger, "_frozen", be_overtaken)
    assert open_ledger(memory).counts() == Counts(complete=0, failed=0, running=1)


@pytest.mark.parametrize("directions", [["minimize"], ["minimize"] * 3])
def test_an_empty_study_with_other_objectives_is_refused(
    directions: list[Literal["minimize"]], memory: BaseStorage
) -> None:
    optuna.create_study(study_name="cheap", storage=memory, directions=directions)
    with pytest.raises(StudyMismatch):
        open_ledger(memory)


def test_the_studies_of_a_storage_are_listed_by_name(memory: BaseStorage) -> None:
    for name in ("b", "a"):
        Ledger.open(memory, {"name": name}, {}, SPACE, sampler())
    optuna.create_study(study_name="another program's", storage=memory).set_user_attr(
        "identity", "its own"
    )
    assert list(study_kinds(memory).items()) == [("a", "search"), ("b", "search")]


# --- asking and telling


def test_a_ticket_carries_number_parameters_and_seed(ledger: Ledger) -> None:
    ticket = ask(ledger)
    seed = derive_seed(SEED, "trial", 0)
    assert ticket == Ticket(number=0, params=STARTING_POINTS[0], seed=seed)


def test_an_asked_trial_carries_this_drivers_lease(memory: BaseStorage, ledger: Ledger) -> None:
    ask(ledger)
    lease = frozen(memory, 0).user_attrs["lease"]
    assert (lease["pid"], lease["host"]) == (os.getpid(), Driver.this_process().host)


def test_renewing_changes_the_beat_of_running_trials(memory: BaseStorage, ledger: Ledger) -> None:
    ask(ledger)
    before = frozen(memory, 0).user_attrs["lease"]["beat"]
    ledger.renew_leases()
    assert frozen(memory, 0).user_attrs["lease"]["beat"] > before


def test_a_complete_trial_has_everything_in_the_storage(
    memory: BaseStorage, ledger: Ledger
) -> None:
    ticket = ask(ledger)
    outcome = score(ticket.params)
    ledger.complete(ticket, outcome)
    stored = frozen(memory, 0)
    assert stored.state == TrialState.COMPLETE
    assert stored.values == outcome.values
    assert stored.user_attrs["metrics"] == outcome.metrics
    assert stored.user_attrs["run"] == outcome.run


def test_a_failed_trial_has_its_reason_and_traceback(memory: BaseStorage, ledger: Ledger) -> None:
    ledger.fail(ask(ledger), Failure("ValueError: no", traceback="Traceback …"))
    stored = frozen(memory, 0)
    assert stored.state == TrialState.FAIL
    assert stored.user_attrs["reason"] == "ValueError: no"
    assert stored.user_attrs["traceback"] == "Traceback …"


def test_trials_read_back_as_they_were_told(ledger: Ledger) -> None:
    first, second = ask(ledger), ask(ledger)
    outcome = score(first.params)
    ledger.complete(first, outcome)
    ledger.fail(second, Failure("ValueError: no"))
    ask(ledger)
    complete, failed, running = ledger.trials()
    assert (complete.state, complete.params) == ("complete", first.params)
    assert complete.values == tuple(outcome.values)
    assert (complete.metrics, complete.run) == (outcome.metrics, outcome.run)
    assert complete.reason is None
    assert (failed.state, failed.values, failed.reason) == ("failed", None, "ValueError: no")
    assert (running.state, running.values, running.reason) == ("running", None, None)


def test_a_failure_of_its_own_is_not_tried_again(memory: BaseStorage, ledger: Ledger) -> None:
    ledger.fail(ask(ledger), Failure("ValueError: no"))
    assert states(memory) == ["FAIL"]


# --- the budget


def test_no_more_is_asked_than_the_budget(ledger: Ledger) -> None:
    assert run(ledger, 3) == 3
    assert ledger.ask(3, SEED) is None


def test_running_trials_count_towards_the_budget(ledger: Ledger) -> None:
    ask(ledger, budget=2)
    ask(ledger, budget=2)
    assert ledger.ask(2, SEED) is None


def test_failed_trials_do_not_count_towards_the_budget(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.fail(ask(ledger, budget=1), Failure("ValueError: no"))
    assert run(ledger, 1) == 1


def test_a_larger_budget_goes_on(ledger: Ledger) -> None:
    run(ledger, 2)
    assert run(ledger, 5) == 3


def test_two_drivers_in_turn_share_the_budget_exactly(
    memory: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pareto.ledger.LOOK_SECONDS", 0.0)
    drivers = [open_ledger(memory), open_ledger(memory)]
    tickets = [driver.ask(5, SEED) for _ in range(4) for driver in drivers]
    assert [ticket.number for ticket in tickets if ticket] == [0, 1, 2, 3, 4]
    assert states(memory) == ["RUNNING"] * 5


def search(place: tuple[str, int]) -> int:
    """Drive the study until its budget is complete; returns how many trials were ours."""
    url, budget = place
    ledger = open_ledger(connect(url))
    ran = 0
    while ledger.counts().complete < budget:
        ran += run(ledger, budget)
    return ran


def test_processes_at_once_share_the_budget_exactly(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    open_ledger(connect(url))
    ran = run_at_once(search, [(url, 12)] * 3)
    assert sum(ran) == 12
    assert states(connect(url)).count("COMPLETE") == 12
    assert "RUNNING" not in states(connect(url))


def test_a_trial_that_is_put_back_is_the_next_one_asked_for(ledger: Ledger) -> None:
    ticket = ask(ledger)
    ledger.put_back(ticket)
    assert ledger.counts() == Counts(complete=0, failed=0, running=0)
    assert ask(ledger) == ticket


@pytest.mark.parametrize(
    "attributes",
    [{}, {"metrics": "good"}, {"metrics": {"loss": 0.1}, "run": {}}, {"metrics": [1, 2, 3]}],
)
def test_what_another_program_enters_as_complete_has_not_been_run(
    memory: BaseStorage, monkeypatch: pytest.MonkeyPatch, attributes: dict[str, Any]
) -> None:
    monkeypatch.setattr("pareto.ledger.LOOK_SECONDS", 0.0)
    ledger = open_ledger(memory)
    run(ledger, 1)
    study = optuna.load_study(study_name="cheap", storage=memory)
    values = [99.0, 1.0, 0.01]
    study.add_trial(optuna.trial.create_trial(values=values, user_attrs=attributes))
    theirs = ledger.trials()[1]
    assert (theirs.state, theirs.reason) == ("failed", "another program has entered it")
    assert len(ledger.values()) == ledger.counts().complete == 1
    proposing = sampler("tpe")
    proposing.aim = Aim([parse("frm >= 0.5", {"frm"})], {})
    run(open_ledger(memory, proposing), 2)
    assert ledger.counts() == Counts(complete=2, failed=1, running=0)


def test_parameters_that_another_program_queues_and_that_are_none_fail_their_trial(
    memory: BaseStorage, ledger: Ledger
) -> None:
    study = optuna.load_study(study_name="cheap", storage=memory)
    study.enqueue_trial({"x": "half"})
    assert ledger.ask(1, SEED) is None
    (trial,) = ledger.trials()
    assert trial.state == "failed"
    assert trial.reason is not None
    assert "queued" in trial.reason
    assert "'half'" in trial.reason
    run(ledger, 1)
    assert ledger.counts() == Counts(complete=1, failed=1, running=0)
