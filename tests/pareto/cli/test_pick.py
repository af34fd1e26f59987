"""`pareto-search pick`."""

import csv
import json
import shlex
from pathlib import Path

import pytest

from pareto.ledger import Ledger
from pareto.storages import connect
from tests.pareto.cli.conftest import Invoke
from tests.pareto.home import NAME, Home
from tests.pareto.program import run

KEYS = {"number", "params", "values", "metrics", "requirements", "why"}


def test_a_point_is_picked_as_json_on_standard_output_alone(finished: Home) -> None:
    words = ["--require", "ta >= 0", "--require", "rte <= 100 * retrain_rte"]
    ending = run(finished.folder, "pick", *words, "--prefer", "frm", "--format", "json")
    assert (ending.code, ending.err) == (0, "")
    picked = json.loads(ending.out)
    assert picked.keys() >= KEYS
    best = max(finished.study().complete(), key=lambda trial: trial.metrics["frm"])
    assert picked["values"]["frm"] == best.metrics["frm"]
    assert [r["requirement"] for r in picked["requirements"]] == [words[1], words[3]]
    assert all(
        r["slack"] == pytest.approx(abs(r["left"] - r["right"])) for r in picked["requirements"]
    )


def test_a_point_is_picked_as_csv(finished: Home, invoke: Invoke) -> None:
    ending = invoke(finished.folder, "pick", "--prefer", "ta", "--format", "csv")
    (row,) = csv.DictReader(ending.out.splitlines())
    assert (ending.code, ending.err) == (0, "")
    assert float(row["ta"]) == max(trial.metrics["ta"] for trial in finished.study().complete())


def test_a_point_is_picked_in_sentences(finished: Home, invoke: Invoke) -> None:
    ending = invoke(finished.folder, "pick", "--require", "ta >= 2", "--prefer", "rte")
    assert (ending.code, ending.err) == (0, "")
    number = finished.study().pick(["ta >= 2"], "rte").trial.number
    assert ending.out.startswith(f"Trial {number} ")
    assert "ta >= 2: " in ending.out
    assert "to spare" in ending.out


def test_the_command_that_replays_a_point_is_told(finished: Home, invoke: Invoke) -> None:
    ending = invoke(finished.folder, "pick", "--prefer", "ta")
    number = str(finished.study().pick(prefer="ta").trial.number)
    line = next(line for line in ending.out.splitlines() if "pareto-search" in line)
    words = shlex.split(line[line.index("pareto-search") :])
    assert words == ["pareto-search", "validate", "--study", NAME, "--trial", number]


def test_the_knee_is_preferred_by_default(finished: Home, invoke: Invoke) -> None:
    ending = invoke(finished.folder, "pick", "--format", "json")
    assert json.loads(ending.out)["number"] == finished.study().pick(prefer="knee").trial.number


def test_a_policy_file_adds_its_requirements(
    finished: Home, invoke: Invoke, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[requirements]\nuseful = "ta >= 2"\ncheap = "rte <= 1e6"\n')
    words = ["--policy", str(policy), "--require", "frm >= 0", "--format", "json"]
    picked = json.loads(invoke(finished.folder, "pick", *words).out)
    texts = [requirement["requirement"] for requirement in picked["requirements"]]
    assert sorted(texts) == ["frm >= 0", "rte <= 1e6", "ta >= 2"]


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_that_nothing_satisfies_is_explained_with_exit_code_3(
    finished: Home, invoke: Invoke, form: str
) -> None:
    words = ["--require", "frm > 1", "--require", "ta >= 0", "--format", form]
    ending = invoke(finished.folder, "pick", *words)
    assert (ending.code, ending.out) == (3, "")
    study = finished.study()
    best = max(study.complete(), key=lambda trial: trial.metrics["frm"])
    problem, reachable, *_ = ending.err.splitlines()
    assert "'frm > 1' binds" in problem
    assert f"{best.metrics['frm']:.4g}" in reachable
    assert f"trial {best.number}" in reachable
    assert f"nearest is trial {best.number}" in ending.err
    assert "missing" in ending.err


@pytest.mark.parametrize(("above", "advice"), [(1e-6, "the ceiling"), (-1e-6, "search on")])
def test_nobody_is_told_to_search_on_for_more_than_the_ceiling(
    finished: Home, tmp_path: Path, invoke: Invoke, above: float, advice: str
) -> None:
    copy = finished.copy(tmp_path / "home")
    ledger = Ledger(connect(copy.url, writable=True), NAME)
    best = max(trial.metrics["frm"] for trial in copy.study().complete())
    ceiling = best + 0.1
    ledger.set_note("reference", {**ledger.note("reference"), "ceiling": ceiling})
    ending = invoke(copy.folder, "pick", "--require", f"frm >= {ceiling + above}")
    assert ending.code == 3
    assert advice in ending.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("requirements", "told", "advice"),
    [
        (["frm < 0"], "its best value is", "relax it, or search on"),
        (["rte <= 1 / (frm - frm)"], "it has a value in no trial", "write it in another way"),
        (["frm >= 0.3", "frm < 0.3"], "its best value is", "unless they contradict each other"),
    ],
)
def test_nobody_is_sent_after_the_ceiling_for_something_else(
    finished: Home, invoke: Invoke, requirements: list[str], told: str, advice: str
) -> None:
    words = [word for text in requirements for word in ("--require", text)]
    ending = invoke(finished.folder, "pick", *words)
    assert (ending.code, ending.out) == (3, "")
    lines = ending.err.splitlines()
    assert lines[1].startswith(told)
    assert advice in lines[-1]
    assert "nan" not in ending.err


def test_that_nothing_satisfies_ends_the_program_with_exit_code_3(finished: Home) -> None:
    ending = run(finished.folder, "pick", "--require", "ta / (fa - fa) > 1")
    assert (ending.code, ending.out) == (3, "")
    assert "Warning" not in ending.err
    assert "Traceback" not in ending.err


@pytest.mark.parametrize(
    "requirement", ["frm >> 1", "", "frm >= ", "accuracy >= 3", "frm == 1", "1 < 2", "ta ≥ 80"]
)
def test_a_wrong_requirement_is_told_in_two_lines(
    finished: Home, invoke: Invoke, requirement: str
) -> None:
    invoke(finished.folder, "pick", "--require", requirement).assert_is_users_mistake()


def test_a_wrong_requirement_ends_the_program_with_exit_code_2(finished: Home) -> None:
    before = finished.files()
    run(finished.folder, "pick", "--require", "frn >= 0.5").assert_is_users_mistake()
    assert finished.files() == before


@pytest.mark.parametrize(
    "policy",
    [
        "",
        "requirements = 3",
        "[requirements]",
        '[requirements]\na = "ta >= 2"\n[more]',
        "[requirements]\na = 3",
        '[requirements]\na = "ta >> 1"',
        "[requirements\n",
        f"requirements = {'1' * 5000}",
        '[requirements]\na = "\udcff"',
    ],
)
def test_a_wrong_policy_is_told_in_two_lines(
    finished: Home, invoke: Invoke, policy: str, tmp_path: Path
) -> None:
    file = tmp_path / "policy.toml"
    file.write_bytes(policy.encode("utf-8", "surrogateescape"))
    invoke(finished.folder, "pick", "--policy", str(file)).assert_is_users_mistake()


def test_a_study_without_trials_has_nothing_to_pick(home: Home, invoke: Invoke) -> None:
    invoke(home.folder, "pick").assert_is_users_mistake()
