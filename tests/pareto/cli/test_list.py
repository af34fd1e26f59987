"""`pareto-search list`."""

import csv
import json

import optuna
import pytest

from pareto import storages
from tests.pareto.cli.conftest import Invoke
from tests.pareto.conftest import TRIALS
from tests.pareto.home import NAME, Home
from tests.pareto.program import run


def test_studies_are_listed_as_json_on_standard_output_alone(finished: Home) -> None:
    ending = run(finished.folder, "list", "--format", "json")
    assert (ending.code, ending.err) == (0, "")
    (row,) = json.loads(ending.out)
    study = finished.study()
    assert row == {
        "study": NAME,
        "kind": "search",
        "method": "conmu",
        "complete": TRIALS,
        "failed": 0,
        "running": 0,
        "front": len(study.front()),
        "hypervolume": pytest.approx(study.hypervolume_share(), abs=1e-4),
    }


def test_studies_are_listed_as_csv(finished: Home, invoke: Invoke) -> None:
    ending = invoke(finished.folder, "list", "--format", "csv")
    (row,) = csv.DictReader(ending.out.splitlines())
    assert (ending.code, ending.err) == (0, "")
    assert (row["study"], row["complete"]) == (NAME, str(TRIALS))


def test_studies_are_listed_as_a_table(finished: Home, invoke: Invoke) -> None:
    ending = invoke(finished.folder, "list")
    assert (ending.code, ending.err) == (0, "")
    assert NAME in ending.out
    assert str(TRIALS) in ending.out


def test_experiments_are_listed_beside_searches(compared: Home, invoke: Invoke) -> None:
    ending = invoke(compared.folder, "list", "--format", "json")
    assert (ending.code, ending.err) == (0, "")
    rows = json.loads(ending.out)
    assert [(row["study"], row["kind"]) for row in rows] == [
        (NAME, "search"),
        (f"{NAME}-compare", "comparison"),
        (f"{NAME}-sweep", "sweep"),
    ]
    for row in rows[1:]:
        assert (row["complete"], row["failed"], row["running"]) == (1, 0, 0)
        assert (row["method"], row["front"], row["hypervolume"]) == (None, None, None)
    table = invoke(compared.folder, "list").out
    assert f"{NAME}-sweep    sweep " in table
    assert "None" not in table


def test_an_empty_storage_lists_nothing(empty_home: Home, invoke: Invoke) -> None:
    storages.connect(empty_home.url, writable=True)
    ending = invoke(empty_home.folder, "list", "--format", "json")
    assert (ending.code, json.loads(ending.out)) == (0, [])


def test_a_study_of_another_program_does_not_hide_ours(home: Home, invoke: Invoke) -> None:
    connected = storages.connect(home.url, writable=True)
    foreign = optuna.create_study(study_name="foreign", storage=connected)
    foreign.tell(foreign.ask(), 1.0)
    ending = invoke(home.folder, "list", "--format", "json")
    assert ending.code == 0
    assert NAME in {row["study"] for row in json.loads(ending.out)}
