"""The search: an exact budget, resumed as if it had never stopped."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import create_trial

from pareto import storages
from pareto.errors import OnlyFailures
from pareto.front import DIRECTIONS
from pareto.ledger import Ledger, StudyMismatch
from pareto.sampling.samplers import AT_RANDOM
from pareto.sampling.space import distributions
from pareto.search_loop import search
from pareto.study import Study
from pareto.trials.progress import Progress
from tests.pareto.conftest import TRIALS, Tiny
from tests.pareto.home import NAME, Home, tiny
from unlearn.errors import InputError
from unlearn.seeds import derive_seed

LARGE_BATCHES_FAIL = """
from torch import nn


class TooMany(Exception):
    def __init__(self, images, most):  # so that no other process can make it from its message
        super().__init__(f"{images} are more than {most}")


class Net(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, classes))

    def forward(self, images):
        if self.training and len(images) > 8:
            raise TooMany(len(images), 8)
        return super().forward(images)
"""
DIVERGING = tiny(method={"learning_rate": 1e30})


def contents(study: Study) -> list[tuple[dict[str, Any], tuple[float, ...] | None]]:
    """Parameters and values of every trial."""
    return [(dict(trial.params), trial.values) for trial in study.trials()]


def elsewhere(tiny_study: Tiny, tmp_path: Path) -> dict[str, Any]:
    """A storage of its own beside the workspace of the tiny study."""
    return {"storage": f"sqlite:///{tmp_path}/other.db", "workspace": tiny_study.home.workspace}


def note(home: Home, key: str, value: Any = None) -> Any:
    """Read a note of the study; write it first if there is a value."""
    ledger = Ledger(storages.connect(home.url, writable=True), NAME)
    if value is not None:
        ledger.set_note(key, value)
    return ledger.note(key)


def test_a_search_ends_with_exactly_its_budget(finished: Home) -> None:
    assert finished.states() == ["COMPLETE"] * TRIALS


def test_the_starting_points_come_first(finished: Home) -> None:
    points = tiny().starting_points()
    assert [trial.params for trial in finished.trials()][: len(points)] == points


def test_the_same_search_gives_the_same_trials_bit_for_bit(finished: Home, home: Home) -> None:
    assert contents(home.search(TRIALS)) == contents(finished.study())


def test_a_resumed_search_goes_on_as_if_it_had_never_stopped(finished: Home, home: Home) -> None:
    home.search(4)
    assert contents(home.search(TRIALS)) == contents(finished.study())


def test_a_finished_study_is_left_as_it_is(finished: Home, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    shutil.rmtree(home.workspace)
    said: list[str] = []
    home.search(TRIALS, announce=said.append)
    assert home.trials() == finished.trials()
    assert not home.workspace.exists()
    assert str(TRIALS) in said[0]


def test_a_smaller_budget_takes_nothing_away(finished: Home, tmp_path: Path) -> None:
    home = finished.copy(tmp_path / "home")
    home.search(2)
    assert home.trials() == finished.trials()


def test_a_study_whose_workspace_is_gone_keeps_its_reference_and_prices(
    finished: Home, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path / "home")
    shutil.rmtree(home.workspace)
    before = [note(home, key) for key in ("original", "reference", "unit_times")]
    home.search(TRIALS + 1)
    assert [note(home, key) for key in ("original", "reference", "unit_times")] == before
    assert home.states() == ["COMPLETE"] * (TRIALS + 1)
    assert home.trials()[:TRIALS] == finished.trials()


def test_progress_is_told_after_every_trial(home: Home) -> None:
    told: list[Progress] = []
    study = home.search(3, on_progress=told.append)
    assert [(progress.complete, progress.total) for progress in told] == [(1, 3), (2, 3), (3, 3)]
    assert told[-1].details == (
        f"0 failed · front {len(study.front())} · hypervolume {study.hypervolume_share():.3f}"
    )


def test_a_study_that_only_fails_is_stopped_with_the_reason(
    tiny_study: Tiny, tmp_path: Path
) -> None:
    with pytest.raises(OnlyFailures, match="answers are not finite") as caught:
        search(DIVERGING, 9, workers=1, max_failures=3, **elsewhere(tiny_study, tmp_path))
    assert "3 trials failed in a row, 3 of them" in caught.value.problem


def test_failed_trials_are_in_the_storage_with_their_reason(
    tiny_study: Tiny, tmp_path: Path
) -> None:
    with pytest.raises(OnlyFailures):
        search(DIVERGING, 9, workers=1, max_failures=2, **elsewhere(tiny_study, tmp_path))
    stored = Ledger(storages.connect(f"sqlite:///{tmp_path}/other.db", writable=False), NAME)
    assert [(trial.state, trial.values) for trial in stored.trials()] == [("failed", None)] * 2
    assert all("not finite" in str(trial.reason) for trial in stored.trials())


@pytest.mark.parametrize(("price", "reason"), [("nan", "rte is nan"), ("inf", "rte is inf")])
def test_an_objective_that_is_not_finite_fails_the_trial(
    home: Home, price: str, reason: str
) -> None:
    prices = note(home, "unit_times")
    note(home, "unit_times", {**prices, "prune": {"step": float(price), "sample": 0.0}})
    with pytest.raises(OnlyFailures, match=reason):
        home.search(2, max_failures=1)
    assert home.states() == ["FAIL"]
    assert home.trials()[0].user_attrs["reason"] == f"objective {reason}"


def test_measured_runtime_is_what_the_stopwatch_says(tiny_study: Tiny, tmp_path: Path) -> None:
    definition = tiny(objectives={"runtime": "measured"})
    study = search(definition, 2, workers=1, **elsewhere(tiny_study, tmp_path))
    for trial in study.complete():
        assert trial.metrics["rte"] == trial.metrics["stopwatch_seconds"] > 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_training_that_diverges_is_told_and_leaves_the_name_free(
    tmp_path: Path, workers: int
) -> None:
    home = Home.new(tmp_path)
    with pytest.raises(InputError, match=r"the \w+ model 1? ?gives answers that are not finite"):
        home.search(1, tiny(recipe={"learning_rate": 1e30}), workers=workers)
    home.search(1)
    assert home.states() == ["COMPLETE"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_of_the_users_that_cannot_be_trained_is_told(tmp_path: Path, workers: int) -> None:
    home = Home.new(tmp_path)
    (tmp_path / "net.py").write_text(LARGE_BATCHES_FAIL)
    definition = tiny().model_copy(update={"model": f"{tmp_path}/net.py:Net"})
    with pytest.raises(InputError, match=r"training .*:Net failed: TooMany: \d+ are more than 8"):
        home.search(1, definition, workers=workers)


def test_another_definition_of_the_same_name_is_refused(home: Home) -> None:
    with pytest.raises(StudyMismatch, match=r"recipe\.epochs is 3 there and 4 here"):
        home.search(2, tiny(recipe={"epochs": 4}))
    assert home.states() == []


def test_another_seed_is_another_study(home: Home) -> None:
    with pytest.raises(StudyMismatch, match="seed is 3 there and 4 here"):
        home.search(2, tiny().model_copy(update={"seed": 4}))


def test_another_sampler_may_go_on_with_a_study(home: Home) -> None:
    home.search(1)
    home.search(2, tiny().model_copy(update={"sampler": "random"}))
    assert home.states() == ["COMPLETE"] * 2


def test_a_search_told_of_a_requirement_proposes_what_optunas_own_does_under_that_constraint(
    finished: Home, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path / "home")
    home.search(TRIALS + 1, require=["rte <= 0.5 * retrain_rte"])
    allowed = 0.5 * note(home, "reference")["seconds"]
    proposed = []
    for constrained in (True, False):
        own = TPESampler(
            n_startup_trials=AT_RANDOM + len(tiny().starting_points()),
            seed=derive_seed(tiny().seed, "sampler", TRIALS) % 2**32,
        )
        plain = optuna.create_study(directions=list(DIRECTIONS), sampler=own)
        for trial in finished.trials():
            missed = {"rte": trial.values[2] - allowed} if constrained else {}
            plain.add_trial(
                create_trial(
                    params=trial.params,
                    distributions=trial.distributions,
                    values=trial.values,
                    constraints=missed,
                )
            )
        proposed.append(plain.ask(distributions(tiny().ranges)).params)
    assert home.trials()[TRIALS].params == proposed[0] != proposed[1]


@pytest.mark.parametrize(
    "given",
    [
        {"require": ["frm >="]},
        {"require": "frm >= 0.5"},
        {"require": ["kept_forget > 3"]},
        {
            "require": ["frm > 0.5"],
            "definition": tiny().model_copy(update={"sampler": "random"}),
        },
        {"budget": 1.5},
        {"max_failures": 0},
        {"device": "abacus"},
        {"definition": "no-such-study"},
        {"definition": "missing.toml"},
        {"definition": tiny().model_copy(update={"model": "no-such-model"})},
        {"definition": tiny(data={"name": "no-such-data"})},
        {"definition": tiny(data={"name": "folder:/no/such/folder"})},
        {"definition": tiny(objectives={"runtime": "measured"}), "workers": 2},
    ],
)
def test_a_mistake_in_what_is_given_writes_nothing(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        search(**{"definition": tiny(), "budget": 1, "workers": 1, **given})
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_that_cannot_be_made_writes_nothing(tmp_path: Path) -> None:
    home = Home.new(tmp_path)
    home.workspace.touch()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="cannot write") as caught:
        home.search(1)
    assert "path" in caught.value.remedy
    assert sorted(tmp_path.iterdir()) == before


def test_a_budget_of_nothing_is_refused(empty_home: Home) -> None:
    before = empty_home.files()
    with pytest.raises(InputError, match="no study has 0 trials"):
        empty_home.search(0)
    assert empty_home.files() == before


def test_a_script_that_searches_whenever_it_is_imported_is_told_so(empty_home: Home) -> None:
    script = empty_home.folder / "script.py"
    script.write_text('import pareto\npareto.search("tiny.toml", 2, workers=2, device="cpu")\n')
    ended = subprocess.run(
        [sys.executable, script.name],
        cwd=empty_home.folder,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert ended.returncode == 1
    *_, problem, remedy = ended.stderr.splitlines()
    assert problem.startswith("pareto.errors.EngineError: the script searches again")
    assert "__main__" in remedy
