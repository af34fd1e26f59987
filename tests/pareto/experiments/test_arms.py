"""What experiments run, by whatever a user names it."""

import pytest
import torch

import studies
from pareto.experiments.arms import arm_of_method, arm_of_trial, configure
from tests.pareto.cells import arm, keeping
from tests.pareto.conftest import Tiny
from tests.pareto.home import NAME, Home, tiny
from unlearn.errors import InputError
from unlearn.methods import METHODS
from unlearn.pruning import prune
from unlearn.selection import el2n, within_bounds

CPU = torch.device("cpu")
COMPARISON = f"{NAME}-compare"

# --- a method by its name


@pytest.mark.parametrize("name", ["retrain", "ft", "ga", "iu"])
def test_a_method_by_its_name_is_not_pruned_and_omp_prunes_it_as_conmu_does(name: str) -> None:
    rates = [arm_of_method(text, tiny()).config["pruning_rate"] for text in (name, f"{name}+omp")]
    assert rates == [0.0, arm_of_method("conmu", tiny()).config["pruning_rate"]]


def test_a_method_takes_part_as_the_definition_has_it() -> None:
    definition = tiny(method={"gamma": 0.25}).model_copy(update={"first_trials": ({"alpha": 7},)})
    one = arm_of_method("conmu", definition)
    assert one == arm("conmu", epochs=2, gamma=0.25, alpha=7)


def test_a_pruning_rate_of_the_definition_is_that_of_all_who_are_pruned() -> None:
    definition = tiny(method={"pruning_rate": 0.3})
    rates = {
        text: arm_of_method(text, definition).config["pruning_rate"]
        for text in ("conmu", "ft+omp", "ft", "retrain+omp", "retrain")
    }
    assert rates == {"conmu": 0.3, "ft+omp": 0.3, "ft": 0.0, "retrain+omp": 0.3, "retrain": 0.0}


@pytest.mark.parametrize("name", METHODS)
def test_a_configuration_is_whole_and_is_the_methods_starting_point(name: str) -> None:
    definition = studies.load("digits")
    config = arm_of_method(name, definition).config
    assert config.keys() == METHODS[name].config.__dataclass_fields__.keys()
    assert config.items() >= definition.with_method(name).starting_points()[0].items()


@pytest.mark.parametrize(
    "text", ["conmu+omp", "magic", "", "+omp", "ft+omp+omp", "FT", "ft +omp", "ft+prune"]
)
def test_who_is_unknown_is_refused_with_those_who_are_known(text: str) -> None:
    with pytest.raises(InputError, match="there is no method") as caught:
        arm_of_method(text, tiny())
    known = caught.value.remedy.removeprefix("use some of ").split(", ")
    assert {arm_of_method(name, studies.load("digits")).method for name in known} == set(METHODS)
    assert len(known) == 2 * len(METHODS) - 1


# --- configurations that a search has found


def test_a_trial_becomes_an_arm_with_its_whole_configuration(finished: Home) -> None:
    trial = finished.trials()[4]
    found, searched = arm_of_trial(f"{NAME}:4", finished.url)
    assert found == arm("conmu", **{**tiny().fixed, **trial.params})
    assert searched == tiny()


NO_TRIAL = [NAME, "", ":", f"{NAME}:", ":4", f"{NAME}:x", f"{NAME}:-1", f"{NAME}:1.0", f"{NAME}:²"]
NO_TRIAL += [f"{NAME}:99", "other:4", f"{COMPARISON}:0"]


@pytest.mark.parametrize("text", NO_TRIAL)
def test_what_names_no_complete_trial_of_a_search_is_refused(compared: Home, text: str) -> None:
    with pytest.raises(InputError) as caught:
        arm_of_trial(text, compared.url)
    assert caught.value.remedy


# --- the share that z-bounds keep


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_keep_becomes_bounds_that_keep_that_share_of_both_sides(
    tiny_study: Tiny, share: float, rate: float
) -> None:
    problem = tiny_study.material.problem(tiny_study.prepared.original, CPU)
    _, config = configure(problem, keeping(share, pruning_rate=rate).cell(0))
    pruned = tiny_study.material.problem(tiny_study.prepared.original, CPU).original
    prune(pruned, rate)
    forget = within_bounds(el2n(pruned, problem.forget), config.forget_z1, config.forget_z2)
    retain = within_bounds(el2n(pruned, problem.retain), config.retain_z1, config.retain_z2)
    assert int(forget.sum()) == round(share * len(forget))
    assert int(retain.sum()) == round(share * len(retain))


def test_keep_leaves_the_original_model_and_the_other_knobs_alone(tiny_study: Tiny) -> None:
    original = tiny_study.prepared.original
    problem = tiny_study.material.problem(original, CPU)
    _, config = configure(problem, keeping(0.3, alpha=7, pruning_rate=0.5).cell(0))
    assert (config.alpha, config.pruning_rate) == (7, 0.5)
    left = problem.original.state_dict()
    assert all(torch.equal(left[name], original[name]) for name in original)
