"""Experiments: every run once, each repeat on a draw of its own, whatever happens on the way."""

from pathlib import Path
from typing import Any, NamedTuple

import optuna
import pytest
import torch
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from pareto.errors import OnlyFailures
from pareto.experiments.experiment import Results
from pareto.leases import Driver
from pareto.ledger import StudyKind, StudyMismatch
from pareto.preparation.material import Material
from pareto.preparation.prepared import original_weights
from pareto.trials.plans import cell_key
from pareto.trials.progress import Progress
from tests.pareto.cells import arm, keeping, once, times_complete
from tests.pareto.conftest import Tiny
from tests.pareto.home import NAME, Home, tiny
from unlearn.checkpoint import save_checkpoint
from unlearn.errors import InputError
from unlearn.training import predict

CPU = torch.device("cpu")
COMPARISON = f"{NAME}-compare"
TIMES = {"rte", "wall_seconds", "stopwatch_seconds"}
RETRAIN, FT, GA = arm("retrain"), arm("ft", epochs=1), arm("ga")
CONMU = arm("conmu", epochs=1, alpha=1, delta=2)
BROKEN = arm("ft", learning_rate=1e30)


class Compared(NamedTuple):
    """A comparison, where it was made, and what was told meanwhile."""

    home: Home
    results: Results
    told: list[Progress]


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """Three arms, two repeats. Not to be changed."""
    home, told = Home.new(tmp_path_factory.mktemp("experiment")), list[Progress]()
    results = home.experiment("comparison", [RETRAIN, FT, CONMU], 2, on_progress=told.append)
    return Compared(home, results, told)


def copy(home: Home, folder: Path) -> Home:
    return home.copy(folder / "copy")


def figures(results: Results) -> list[list[dict[str, float]]]:
    """Of every arm's runs, those that no stopwatch has a part in."""
    return [
        [{k: v for k, v in run.items() if k not in TIMES} for run in runs.values()]
        for runs in results.runs
    ]


# --- what is run


def test_every_arm_is_run_once_in_every_repeat(run_once: Compared) -> None:
    assert times_complete(run_once.home.trials(COMPARISON)) == once([RETRAIN, FT, CONMU], 2)
    assert [list(runs) for runs in run_once.results.runs] == [[0, 1]] * 3
    assert run_once.results.failures == [{}] * 3
    assert not run_once.results.interrupted


def test_progress_is_told_after_every_run(run_once: Compared) -> None:
    assert [(told.complete, told.total) for told in run_once.told] == [(k, 6) for k in range(1, 7)]


def test_all_is_read_from_the_storage(run_once: Compared) -> None:
    trials = run_once.home.trials(COMPARISON)
    stored = {cell_key(trial.user_attrs["cell"]): trial.user_attrs["metrics"] for trial in trials}
    for one, runs in zip([RETRAIN, FT, CONMU], run_once.results.runs, strict=True):
        assert runs == {repeat: stored[cell_key(one.cell(repeat))] for repeat in range(2)}


def test_a_second_time_nothing_is_run_and_the_results_are_the_same(run_once: Compared) -> None:
    before, said = run_once.home.trials(COMPARISON), list[str]()
    again = run_once.home.experiment(
        "comparison", [RETRAIN, FT, CONMU], 2, announce=said.append, on_progress=_refuse
    )
    assert again == run_once.results
    assert said == []
    assert run_once.home.trials(COMPARISON) == before


def test_no_run_of_a_dead_driver_is_left_running_where_nothing_is_to_be_run(
    run_once: Compared, tmp_path: Path
) -> None:
    home = copy(run_once.home, tmp_path)
    dead = {**Driver.this_process().lease(), "started": 0.0}
    begun = create_trial(state=TrialState.RUNNING, user_attrs={"cell": FT.cell(0), "lease": dead})
    optuna.load_study(study_name=COMPARISON, storage=RDBStorage(home.url)).add_trial(begun)
    home.experiment("comparison", [FT], 1, on_progress=_refuse)
    assert home.states(COMPARISON)[-1] == "FAIL"
    assert "RUNNING" not in home.states(COMPARISON)


def _refuse(_progress: Progress) -> None:
    raise AssertionError("something was run")


def test_the_same_experiment_elsewhere_has_the_same_figures_bit_for_bit(
    run_once: Compared, empty_home: Home
) -> None:
    again = empty_home.experiment("comparison", [CONMU, FT], 2)
    assert figures(again) == figures(run_once.results)[:0:-1]


def test_the_cost_is_the_stopwatchs(run_once: Compared) -> None:
    for runs in run_once.results.runs:
        assert all(run["rte"] == run["stopwatch_seconds"] > 0 for run in runs.values())


def test_more_repeats_and_more_arms_are_added(run_once: Compared, tmp_path: Path) -> None:
    home = copy(run_once.home, tmp_path)
    before = home.trials(COMPARISON)
    results = home.experiment("comparison", [GA, FT], 3)
    after = home.trials(COMPARISON)
    assert after[: len(before)] == before
    added = once([GA, FT], 3) - once([FT], 2)
    assert times_complete(after[len(before) :]) == added
    assert [list(runs) for runs in results.runs] == [[0, 1, 2]] * 2
    assert results.runs[1][0] == run_once.results.runs[1][0]


def test_fewer_repeats_and_arms_are_read_alone(run_once: Compared) -> None:
    results = run_once.home.experiment("comparison", [FT], 1)
    assert results.runs == [{0: run_once.results.runs[1][0]}]
    assert results.repeats == {0: run_once.results.repeats[0]}


# --- repeats


def weights(home: Home, material: Material) -> dict[str, torch.Tensor]:
    """θ_o as it lies in the workspace."""

    def announce(message: str) -> None:
        raise AssertionError(message)

    return original_weights(material, str(home.workspace), CPU, announce)


def test_repeats_have_requests_and_models_of_their_own(run_once: Compared) -> None:
    one, other = (Material.load(tiny()).repeated(repeat) for repeat in range(2))
    requests = [set(material.partition.forget.tolist()) for material in (one, other)]
    assert requests[0] != requests[1]
    assert len(requests[0]) == len(requests[1])
    ours, theirs = weights(run_once.home, one), weights(run_once.home, other)
    assert not any(
        torch.equal(ours[name], theirs[name]) for name in ours if name.endswith("weight")
    )
    notes = run_once.results.repeats
    assert notes[0]["reference"]["runs"] != notes[1]["reference"]["runs"]


def test_repeats_share_the_data_and_its_halves() -> None:
    material = Material.load(tiny())
    repeated = material.repeated(1)
    for of in ("search", "report"):
        ours, theirs = getattr(material, of), getattr(repeated, of)
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.labels, theirs.labels)
    assert material.dataset is repeated.dataset


def test_a_repeat_is_the_same_however_many_there_are() -> None:
    one, other = (Material.load(tiny()).repeated(2) for _ in range(2))
    assert one.seed == other.seed
    assert torch.equal(one.partition.forget, other.partition.forget)


def test_a_request_that_lists_its_samples_is_the_same_in_all_repeats(tmp_path: Path) -> None:
    (tmp_path / "forget.txt").write_text("3\n1\n4\n15\n92\n65\n")
    definition = tiny().model_dump(mode="json")
    definition["request"] = {"kind": "indices", "file": str(tmp_path / "forget.txt")}
    material = Material.load(type(tiny()).model_validate(definition))
    for repeat in range(2):
        forget = material.repeated(repeat).partition.forget
        assert sorted(forget.tolist()) == [1, 3, 4, 15, 65, 92]


def test_a_given_original_model_is_that_of_all_repeats(
    tiny_study: Tiny, empty_home: Home, tmp_path: Path
) -> None:
    factory, file = tiny_study.material.factory, tmp_path / "theirs.safetensors"
    plain = {k[2:]: v for k, v in tiny_study.prepared.original.items() if k.startswith("1.")}
    save_checkpoint(file, plain, factory.mean, factory.std)
    given = tiny().model_copy(update={"original": str(file)})
    said: list[str] = []
    untouched = arm("ft", epochs=0, pruning_rate=0.0)
    results = empty_home.experiment("sweep", [untouched], 2, given, announce=said.append)
    assert "training the original model" not in said
    # The same model on the same test data; only what it shall forget differs.
    tested = [run["ta"] for run in results.runs[0].values()]
    assert tested == [tiny_study.prepared.original_figures.ta] * 2
    assert results.runs[0][0]["ra"] != results.runs[0][1]["ra"]


def test_runs_of_a_repeat_start_from_the_same_models_and_seed(run_once: Compared) -> None:
    trials = run_once.home.trials(COMPARISON)
    of_repeat = {
        repeat: {
            (trial.user_attrs["run"]["fingerprint"], trial.user_attrs["run"]["seed"])
            for trial in trials
            if trial.user_attrs["cell"]["repeat"] == repeat
        }
        for repeat in range(2)
    }
    assert [len(found) for found in of_repeat.values()] == [1, 1]
    assert of_repeat[0].isdisjoint(of_repeat[1])


@pytest.mark.parametrize(("kind", "half"), [("comparison", "report"), ("sweep", "search")])
def test_a_comparison_is_scored_on_the_report_half_and_a_sweep_on_the_search_half(
    run_once: Compared, kind: StudyKind, half: str, tmp_path: Path
) -> None:
    home = copy(run_once.home, tmp_path)
    untouched = arm("ft", epochs=0, pruning_rate=0.0)
    results = home.experiment(kind, [untouched], 1)
    material = Material.load(tiny()).repeated(0)
    model = material.factory(0, CPU)
    model.load_state_dict(weights(home, material))
    samples = getattr(material, half)
    right = predict(model, samples.images).argmax(dim=1) == samples.labels
    assert results.repeats[0]["original"]["ta"] == pytest.approx(100 * right.double().mean())
    assert results.runs[0][0]["ta"] == results.repeats[0]["original"]["ta"]


def test_a_comparison_and_a_sweep_share_their_models(run_once: Compared, tmp_path: Path) -> None:
    home, said = copy(run_once.home, tmp_path), list[str]()
    home.experiment("sweep", [FT], 2, announce=said.append)
    assert not any(line.startswith(("training", "retraining")) for line in said)


def test_frm_is_measured_against_what_the_storage_keeps(run_once: Compared, tmp_path: Path) -> None:
    # The workspace of another machine: models whose retraining took another time.
    home = copy(run_once.home, tmp_path)
    for file in home.workspace.rglob("*"):
        if file.is_file():
            file.unlink()
    results = home.experiment("comparison", [FT, GA], 1)
    assert results.repeats[0] == run_once.results.repeats[0]
    (run,) = results.runs[1].values()
    assert run["ceiling"] == run_once.results.repeats[0]["reference"]["ceiling"]


# --- the share that z-bounds keep


def test_a_run_keeps_the_share_that_was_asked_for(empty_home: Home) -> None:
    shares = (0.2, 0.7)
    results = empty_home.experiment("sweep", [keeping(share, epochs=1) for share in shares], 1)
    partition = Material.load(tiny()).repeated(0).partition
    for share, runs in zip(shares, results.runs, strict=True):
        assert runs[0]["kept_forget"] == round(share * len(partition.forget))
        assert runs[0]["kept_retain"] == round(share * len(partition.retain))


# --- what goes wrong


def test_another_definition_of_the_same_name_is_refused(run_once: Compared) -> None:
    before = run_once.home.trials(COMPARISON)
    with pytest.raises(StudyMismatch, match=r"recipe\.epochs is 3 there and 4 here") as caught:
        run_once.home.experiment("comparison", [FT], 1, tiny(recipe={"epochs": 4}))
    assert "definition" in caught.value.remedy
    assert run_once.home.trials(COMPARISON) == before


def test_how_a_search_is_made_does_not_matter(run_once: Compared) -> None:
    other = tiny(method={"epochs": 9}, space={"alpha": {"low": 1, "high": 2}})
    other = other.model_copy(update={"sampler": "random"})
    assert run_once.home.experiment("comparison", [FT], 1, other).runs == [
        {0: run_once.results.runs[1][0]}
    ]


def test_a_search_of_the_name_of_an_experiment_is_refused(home: Home) -> None:
    home.search(1, tiny().model_copy(update={"name": COMPARISON}))
    with pytest.raises(StudyMismatch, match="kind is None there and comparison here"):
        home.experiment("comparison", [FT], 1)


def test_an_experiment_of_the_name_of_a_search_is_refused(compared: Home) -> None:
    with pytest.raises(StudyMismatch, match="kind is comparison there and None here"):
        compared.search(1, tiny().model_copy(update={"name": COMPARISON}))


def test_a_proxy_trained_beyond_its_schedule_is_refused(empty_home: Home) -> None:
    with pytest.raises(InputError, match=r"delta is 4, beyond recipe\.epochs \(3\)"):
        empty_home.experiment("sweep", [arm("conmu", delta=4)], 1)
    assert empty_home.files() == {"tiny.toml"}


@pytest.mark.parametrize(
    "given",
    [
        {"definition": tiny(data={"name": "no-such-data"})},
        {"definition": tiny().model_copy(update={"model": "no-such-model"})},
        {"workspace": "tiny.toml"},
    ],
)
def test_a_mistake_in_what_is_given_writes_nothing(
    given: dict[str, Any], empty_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(empty_home.folder)
    with pytest.raises(InputError):
        empty_home.experiment("comparison", [FT], 1, **given)
    assert empty_home.files() == {"tiny.toml"}


def test_an_arm_that_fails_is_told_and_keeps_no_other_from_running(
    run_once: Compared, tmp_path: Path
) -> None:
    home = copy(run_once.home, tmp_path)
    before = len(home.trials(COMPARISON))
    results = home.experiment("comparison", [BROKEN, GA], 2)
    assert [list(runs) for runs in results.runs] == [[], [0, 1]]
    assert results.failures[1] == {}
    assert list(results.failures[0]) == [0, 1]
    assert all("not finite" in reason for reason in results.failures[0].values())
    assert not results.interrupted
    home.experiment("comparison", [BROKEN, GA], 2)  # tries what failed once more, and that alone
    again = home.trials(COMPARISON)[before + 4 :]
    assert [trial.state.name for trial in again] == ["FAIL"] * 2
    assert {trial.user_attrs["cell"]["method"] for trial in again} == {"ft"}


def test_an_experiment_that_only_fails_is_stopped_with_the_reason(
    run_once: Compared, tmp_path: Path
) -> None:
    home = copy(run_once.home, tmp_path)
    arms = [arm("ft", learning_rate=10.0**power) for power in (28, 29, 30)]
    with pytest.raises(OnlyFailures, match="not finite") as caught:
        home.experiment("comparison", arms, 1, max_failures=2)
    assert home.states(COMPARISON).count("FAIL") == 2
    assert "show" not in caught.value.remedy  # which shows searches alone
