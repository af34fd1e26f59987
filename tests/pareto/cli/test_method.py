"""`--method`: another method's own space on the same problem."""

import json
from dataclasses import asdict

import pytest

from tests.pareto.cli.conftest import Invoke
from tests.pareto.home import NAME, Home
from unlearn.methods import METHODS

HERE = ("--workers", "1", "--device", "cpu", "--format", "json", "--quiet", "--budget")
BEGIN = ("--study", "tiny.toml", *HERE)


@pytest.mark.parametrize("method", ["ft", "ga", "retrain"])
def test_a_method_is_searched_in_its_own_space_beside_the_study(
    method: str, home: Home, invoke: Invoke
) -> None:
    ending = invoke(home.folder, *BEGIN, "2", "--method", method)
    assert ending.code == 0
    shown = json.loads(ending.out)
    assert shown["study"] == f"{NAME}-{method}"
    first, second = (trial["params"] for trial in shown["trials"])
    assert first.items() <= asdict(METHODS[method].config()).items()
    assert all(second[name] in span for name, span in METHODS[method].space.items())
    listed = json.loads(invoke(home.folder, "list", "--format", "json").out)
    methods = {row["study"]: (row["method"], row["complete"]) for row in listed}
    assert methods == {NAME: ("conmu", 0), f"{NAME}-{method}": (method, 2)}


def test_a_methods_study_goes_on_with_the_same_flags_and_by_its_name(
    home: Home, invoke: Invoke
) -> None:
    for words in (
        [*BEGIN, "2", "--method", "ft"],
        [*BEGIN, "3", "--method", "ft"],
        ["--study", NAME, *HERE, "4", "--method", "ft"],
        ["--study", f"{NAME}-ft", *HERE, "5"],
        ["--study", f"{NAME}-ft", *HERE, "6", "--method", "ft"],
    ):
        ending = invoke(home.folder, *words)
        assert ending.code == 0
    shown = json.loads(ending.out)
    trials = shown["trials"]
    assert [trial["state"] for trial in trials] == ["complete"] * 6
    assert home.states() == []  # of the study itself
    table = invoke(home.folder, "show", "--study", f"{NAME}-ft").out
    rates = [trials[number]["params"]["learning_rate"] for number in shown["front"]]
    assert min(rates) < 0.1
    assert all(f" {rate:.2g} " in table for rate in rates if rate < 0.1)


def test_the_studys_own_method_means_the_study_itself(home: Home, invoke: Invoke) -> None:
    shown = json.loads(invoke(home.folder, *BEGIN, "1", "--method", "conmu").out)
    assert shown["study"] == NAME
    assert home.states() == ["COMPLETE"]
