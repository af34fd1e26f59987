"""The definition of a study."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studies import Definition, builtin_names, load, validate
from unlearn.errors import InputError
from unlearn.methods import METHODS, Choice, FloatRange, IntRange
from unlearn.methods.conmu import METHOD, SPACE, ConMUConfig
from unlearn.requests import ClassRequest, IndexRequest, RandomRequest
from unlearn.training import Recipe

Content = dict[str, Any]
BASE: Content = {
    "name": "mine",
    "seed": 3,
    "data": {"name": "digits"},
    "model": "small-cnn",
    "request": {"kind": "random", "fraction": 0.2},
    "recipe": {"epochs": 10, "learning_rate": 0.1},
}


def definition(**changes: Any) -> Definition:
    return validate({**BASE, **changes}, "mine.toml")


def conmu(**values: Any) -> Content:
    return {"name": "conmu", **values}


def recipe(**values: Any) -> Content:
    return {**BASE["recipe"], **values}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        # Fields that don't exist, are missing, or have the wrong type.
        ({"colour": "red"}, "colour: no such field"),
        ({"recipe": recipe(colour="red")}, "recipe.colour: no such field"),
        ({"recipe": {"epoch": 2, "learning_rate": 0.1}}, "recipe.epoch: no such field; there are"),
        ({"modell": "small-cnn", "model": 3}, "modell: no such field; there are name, seed"),
        ({"request": {"kind": "random", "fraction": 0.2, "label": 3}}, "request.label: no such"),
        ({"recipe": {"epochs": 10}}, "recipe.learning_rate: Field required"),
        ({"recipe": recipe(epochs="ten")}, "recipe.epochs: "),
        ({"recipe": recipe(epochs=10.0)}, "recipe.epochs: "),
        ({"recipe": 10}, "recipe: "),
        ({"recipe": recipe(precision="float16")}, "recipe.precision: "),
        ({"original": 3}, "original: "),
        *[
            ({"normalisation": {"mean": mean, "std": std}}, f"normalisation{words}")
            for mean, std, words in [
                ([0.5], [0.0], ".std.0: "),
                ([0.5], [-0.1], ".std.0: "),
                ([0.5], [float("inf")], ".std.0: "),
                ([123.7], [58.4], ".mean.0: "),
                ([-0.1], [0.2], ".mean.0: "),
                (["0.5"], [0.2], ".mean.0: "),
                (0.5, 0.2, ".mean: "),
                ([], [], ".mean: "),
                ([0.5, 0.5], [0.2], ": give as many values of mean as of std"),
            ]
        ],
        ({"normalisation": {"mean": [0.5]}}, "normalisation.std: Field required"),
        ({"model": 18}, "model: "),
        ({"seed": -1}, "seed: "),
        ({"seed": 2**63}, "seed: "),
        ({"data": {"name": "digits", "train_limit": "all"}}, "data.train_limit: "),
        ({"data": {"name": "digits", "pixel_noise": -0.1}}, "data.pixel_noise: "),
        ({"data": {"name": "digits", "pixel_noise": float("nan")}}, "data.pixel_noise: "),
        *[({"name": name}, "name: ") for name in ("", "a b", "../a", "-a", "a" * 101, 7)],
        # Values that make no sense.
        *[({"request": {"kind": "random", "fraction": f}}, "request.fraction: ") for f in (0, 1.0)],
        ({"request": {"kind": "class", "label": 3, "fraction": 0.0}}, "request.fraction: "),
        ({"request": {"kind": "class", "label": 3, "fraction": 1.1}}, "request.fraction: "),
        ({"request": {"kind": "class", "label": 2.5}}, "request.label"),
        ({"request": {"kind": "indices"}}, "request.file: Field required"),
        ({"request": {"kind": "all"}}, "request.*'random', 'class', 'indices'"),
        ({"request": {"fraction": 0.2}}, "request: "),
        ({"recipe": recipe(epochs=0)}, "recipe.epochs: "),
        ({"recipe": recipe(learning_rate=0.0)}, "recipe.learning_rate: "),
        ({"recipe": recipe(momentum=1.0)}, "recipe.momentum: "),
        ({"recipe": recipe(batch_size=1)}, "recipe.batch_size: "),
        ({"recipe": recipe(schedule="step")}, "recipe.schedule: "),
        ({"recipe": recipe(augment="yes")}, "recipe.augment: "),
        ({"data": {"name": "digits", "dir": 3}}, "data.dir: "),
        ({"model_dir": 3}, "model_dir: "),
        ({"objectives": {"attack": "guess"}}, "objectives: attack must be one of threshold, svc"),
        ({"objectives": {"retrainings": 2}}, "objectives.retrainings: "),
        ({"objectives": {"runtime": "guessed"}}, "objectives.runtime: "),
        ({"sampler": "cmaes"}, "sampler: "),
        # The method.
        ({"method": {"name": "sisa"}}, "method.name must be one of conmu, .*not 'sisa'"),
        ({"method": {}}, "method.name must be one of"),
        ({"method": {"name": ["conmu"]}}, "method.name"),
        ({"method": "conmu"}, "method: "),
        ({"method": conmu(beta=1)}, "method.beta is no parameter of conmu"),
        ({"method": conmu(gamma=-1.0)}, "method.*gamma must not be negative"),
        ({"method": conmu(gamma="much")}, "method.gamma"),
        ({"method": conmu(alpha=1.5)}, "method.alpha"),
        ({"method": conmu(delta=11)}, ".*delta.*recipe.epochs"),
        ({"method": conmu(epochs="5")}, "method.epochs: write 5, and not '5'"),
        ({"method": conmu(gamma=True)}, "method.gamma: write 1.0, and not True"),
        # The space.
        ({"space": {"beta": {"low": 0, "high": 1}}}, "space.beta is no parameter of conmu"),
        ({"space": {"alpha": {"low": 0.5, "high": 4}}}, "space.alpha takes whole numbers"),
        ({"space": {"alpha": {"low": 0.0, "high": 4.0}}}, "space.alpha takes whole numbers"),
        ({"space": {"alpha": {"low": "none", "high": 4}}}, "space.alpha.low: is no finite number"),
        (
            {"space": {"sigma": {"low": math.nan, "high": 1}}},
            "space.sigma.low: is no finite number",
        ),
        ({"space": {"alpha": 3}}, "space.alpha: has to be a table"),
        (
            {"space": {"alpha": {"choices": [[1]]}}},
            r"space.alpha.choices.0: is neither a number nor a text",
        ),
        ({"first_trials": {"alpha": 3}}, r"first_trials: .* written as \[\[first_trials\]\]"),
        ({"request": {"kind": "randm"}}, "request.kind: 'randm' is none of 'random', 'class'"),
        ({"request": {"fraction": 0.5}}, "request: has no kind"),
        ({"name": "my study"}, "name: begins with a letter or digit"),
        ({"space": {"alpha": {"choices": [1, 2.5]}}}, "space.alpha reaches 2.5"),
        ({"space": {"delta": {"choices": ["1", 2]}}}, "space.delta: write 1, and not '1'"),
        ({"space": {"delta": {"choices": [True, 2]}}}, "space.delta: write 1, and not True"),
        ({"space": {"gamma": {"low": 0, "high": 10**400}}}, "space.gamma: .*must be finite"),
        ({"method": conmu(alpha=10**400)}, "method.*alpha must be finite"),
        ({"first_trials": [{"alpha": 10**400}]}, r"first_trials\.0.*finite"),
        ({"space": {"alpha": {"low": 0, "high": 4, "step": 2}}}, "space.alpha.step: no such field"),
        ({"space": {"sigma": {"low": 1.0, "high": 0.5}}}, "space.sigma: .*low <= high"),
        ({"space": {"sigma": {"low": 1.0}}}, "space.sigma: .*low and high"),
        ({"space": {"sigma": {}}}, "space.sigma: .*low and high, or choices"),
        ({"space": {"sigma": {"low": 1, "choices": [1]}}}, "space.sigma: .*or choices"),
        ({"space": {"sigma": {"low": 0.0, "high": 1.0, "log": True}}}, "space.sigma: .*positive"),
        ({"space": {"sigma": {"low": -1.0, "high": 1.0}}}, "space.sigma reaches -1.0: sigma must"),
        ({"space": {"sigma": {"choices": []}}}, "space.sigma: choices must not be empty"),
        ({"space": {"sigma": {"choices": [1.0], "log": True}}}, "space.sigma: .*no log"),
        ({"space": {"pruning_rate": {"low": 0.0, "high": 1.0}}}, "space.pruning_rate reaches 1.0"),
        ({"space": {"delta": {"low": 0, "high": 11}}}, ".*delta.*11.*recipe.epochs"),
        ({"space": {"delta": {"choices": [1, 11]}}}, ".*delta.*11.*recipe.epochs"),
        # The method and the space together.
        (
            {"method": conmu(alpha=3), "space": {"alpha": {"low": 0, "high": 4}}},
            "alpha is fixed in method and searched in space",
        ),
        ({"method": {"name": "retrain", "share": 0.5}}, "space leaves nothing to search"),
        ({"method": conmu(**METHOD.starting_points[0].params)}, "space leaves nothing to search"),
        # What is tried first.
        ({"first_trials": {"alpha": 1}}, "first_trials: "),
        ({"first_trials": [3]}, "first_trials.0: "),
        (
            {"first_trials": [{}, {"beta": 1}]},
            r"first_trials\.1\.beta is not searched; forget_z1, ",
        ),
        ({"first_trials": [{"gamma": 0.5}]}, r"first_trials\.0\.gamma is not searched"),
        (
            {"method": conmu(alpha=3), "first_trials": [{"alpha": 3}]},
            r"first_trials\.0\.alpha is not searched",
        ),
        ({"first_trials": [{"alpha": 21}]}, r"first_trials\.0\.alpha is 21, outside of the space"),
        ({"first_trials": [{"sigma": "much"}]}, r"first_trials\.0\.sigma: "),
        ({"first_trials": [{"sigma": "1"}]}, r"first_trials\.0\.sigma: write 1.0, and not '1'"),
        ({"first_trials": [{"alpha": 1.5}]}, r"first_trials\.0\.alpha: "),
        ({"first_trials": [{"alpha": -1}]}, r"first_trials\.0: alpha must not be negative"),
        (
            {"space": {"gamma": {"low": 0.6, "high": 1.0}}, "first_trials": [{"alpha": 3}]},
            r"first_trials\.0\.gamma is 0\.5, outside of the space",
        ),
    ],
)
def test_a_mistake_is_reported_with_the_name_of_the_field(changes: Content, words: str) -> None:
    with pytest.raises(InputError, match=rf"^mine\.toml: {words}") as caught:
        definition(**changes)
    assert "\n" not in caught.value.problem
    assert caught.value.remedy


@pytest.mark.parametrize("changes", [{}, {"original": "/a/theirs.pt"}])
def test_who_gives_no_recipe_is_told_what_it_is_for(changes: Content) -> None:
    content = {key: value for key, value in BASE.items() if key != "recipe"} | changes
    with pytest.raises(InputError, match=r"^mine\.toml: recipe: .*retrained models"):
        validate(content, "mine.toml")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a.b-c_9"},
        {"normalisation": {"mean": [0, 1, 0.5], "std": [1, 2.5, 1e-3]}},
        {"request": {"kind": "class", "label": 3}},
        {"request": {"kind": "class", "label": "three", "fraction": 1}},
        {"recipe": recipe(epochs=8, learning_rate=1, batch_size=2)},
        {"objectives": {"attack": "svc", "retrainings": 3, "runtime": "measured"}},
        {"method": conmu(delta=10)},
        {"method": conmu(alpha=3), "space": {"gamma": {"choices": [0.1, 1.0]}}},
        {"space": {"delta": {"low": 0, "high": 10}, "sigma": {"low": 1, "high": 1}}},
        {"space": {"alpha": {"low": 1, "high": 8, "log": True}}},
    ],
)
def test_what_lies_on_the_edge_is_accepted(changes: Content) -> None:
    assert definition(**changes).name


def test_every_method_field_and_the_whole_space_are_open_by_default() -> None:
    assert definition().ranges == SPACE
    assert definition().unlearning is METHOD


def test_what_the_method_fixes_is_not_searched() -> None:
    ranges = definition(method=conmu(alpha=3, sigma=0.5)).ranges
    assert ranges.keys() == SPACE.keys() - {"alpha", "sigma"}


def test_the_space_replaces_and_adds_ranges() -> None:
    ranges = definition(
        space={
            "alpha": {"low": 2, "high": 4},
            "gamma": {"low": 1, "high": 2, "log": True},
            "batch_size": {"choices": [32, 64]},
        }
    ).ranges
    assert ranges["alpha"] == IntRange(2, 4)
    assert ranges["gamma"] == FloatRange(1.0, 2.0, log=True)
    assert ranges["batch_size"] == Choice((32, 64))
    assert ranges.keys() == SPACE.keys() | {"gamma", "batch_size"}


def test_a_config_takes_parameters_then_fixed_values_then_defaults() -> None:
    config = definition(method=conmu(gamma=2.0)).config({"alpha": 7})
    assert config == ConMUConfig(gamma=2.0, alpha=7)


def test_sections_become_what_the_packages_take() -> None:
    assert definition().training_recipe == Recipe(
        epochs=10,
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=5e-4,
        batch_size=128,
        schedule="cosine",
        precision="auto",
    )
    assert definition().forget_request == RandomRequest(0.2)


@pytest.mark.parametrize(
    ("section", "request_"),
    [
        ({"kind": "class", "label": "dog"}, ClassRequest("dog", 1.0)),
        ({"kind": "class", "label": 5, "fraction": 0.5}, ClassRequest(5, 0.5)),
        ({"kind": "indices", "file": "/a/b.csv"}, IndexRequest(Path("/a/b.csv"))),
    ],
)
def test_every_kind_of_request_is_resolved(
    section: Content, request_: ClassRequest | IndexRequest
) -> None:
    assert definition(request=section).forget_request == request_


RANDOM_ALPHAS, CLASS_ALPHAS = [3, 4, 5, 3, 5, 5], [12, 1, 4, 20, 10]  # two class columns are equal


@pytest.mark.parametrize(
    ("section", "alphas"),
    [
        ({"kind": "random", "fraction": 0.2}, RANDOM_ALPHAS),
        ({"kind": "indices", "file": "/a/b.csv"}, RANDOM_ALPHAS),
        ({"kind": "class", "label": 5}, CLASS_ALPHAS),
    ],
)
def test_starting_points_are_those_of_the_kind_of_request(
    section: Content, alphas: list[int]
) -> None:
    points = definition(request=section).starting_points()
    assert [point["alpha"] for point in points] == alphas
    assert all(point.keys() == SPACE.keys() for point in points)


@given(st.integers(0, 20), st.integers(0, 20), st.floats(0, 1), st.floats(0, 1))
def test_starting_points_are_those_that_lie_in_the_space(
    alpha: int, other_alpha: int, z: float, other_z: float
) -> None:
    low, high = sorted((alpha, other_alpha))
    z_low, z_high = sorted((z, other_z))
    points = definition(
        request={"kind": "class", "label": 5},
        space={"alpha": {"low": low, "high": high}, "forget_z1": {"low": z_low, "high": z_high}},
    ).starting_points()
    table = [(12, 0.8), (1, 0.3), (4, 0.5), (20, 0.5), (10, 0.85)]  # α and z₁ of the paper
    assert [(point["alpha"], point["forget_z1"]) for point in points] == [
        (a, z1) for a, z1 in table if low <= a <= high and z_low <= z1 <= z_high
    ]


def test_starting_points_leave_out_what_is_fixed() -> None:
    points = definition(method=conmu(alpha=9)).starting_points()
    assert len(points) == 6
    assert all("alpha" not in point for point in points)


def test_starting_points_have_the_default_of_what_they_do_not_speak_of() -> None:
    points = definition(space={"gamma": {"low": 0.0, "high": 1.0}}).starting_points()
    assert [point["gamma"] for point in points] == [0.5] * 6
    assert definition(space={"gamma": {"low": 0.6, "high": 1.0}}).starting_points() == []


def test_starting_points_are_not_repeated() -> None:
    # Fixing all bounds leaves α, of which the paper's random settings name three values.
    bounds = dict.fromkeys(("forget_z1", "forget_z2", "retain_z1", "retain_z2"), 0.5)
    points = definition(method=conmu(**bounds, sigma=1.0, delta=1)).starting_points()
    assert points == [{"alpha": 3}, {"alpha": 4}, {"alpha": 5}]


def test_what_shall_be_tried_first_comes_before_the_starting_points_of_the_method() -> None:
    known = definition().starting_points()
    points = definition(first_trials=[{"alpha": 7}, {"sigma": 2, "delta": 0}]).starting_points()
    assert points[0] == {name: getattr(ConMUConfig(alpha=7), name) for name in SPACE}
    assert points[1] == {name: getattr(ConMUConfig(sigma=2.0, delta=0), name) for name in SPACE}
    assert isinstance(points[1]["sigma"], float)
    assert points[2:] == known


def test_a_starting_point_that_shall_be_tried_first_is_not_tried_twice() -> None:
    known = definition().starting_points()
    points = definition(first_trials=[known[3], {"alpha": 7}, known[3]]).starting_points()
    assert [point["alpha"] for point in points] == [3, 7, 3, 4, 5, 5, 5]
    assert (points[0], points[2:]) == (known[3], known[:3] + known[4:])


def test_what_shall_be_tried_first_has_the_default_of_what_it_does_not_speak_of() -> None:
    each = definition(
        method=conmu(gamma=2.0, pruning_rate=0.2),
        space={"clip_norm": {"choices": [1.0, 5.0]}, "epochs": {"low": 1, "high": 9}},
        first_trials=[{"clip_norm": 5.0}],
    )
    first = each.starting_points()[0]
    assert first.keys() == SPACE.keys() | {"clip_norm", "epochs"}
    assert (first["clip_norm"], first["epochs"], first["alpha"]) == (5.0, 5, 3)


OTHER: list[Content] = [
    {"name": "yours"},
    {"seed": 4},
    {"data": {"name": "digits", "train_limit": 100}},
    {"data": {"name": "digits", "test_limit": 100}},
    {"data": {"name": "digits", "pixel_noise": 0.1}},
    {"data": {"name": "folder:/a"}},
    {"model": "resnet18"},
    {"request": {"kind": "random", "fraction": 0.3}},
    {"request": {"kind": "class", "label": 3, "fraction": 0.2}},
    {"request": {"kind": "class", "label": 4, "fraction": 0.2}},
    {"request": {"kind": "indices", "file": "/a/b.txt"}},
    {"recipe": recipe(epochs=11)},
    {"recipe": recipe(learning_rate=0.2)},
    {"recipe": recipe(momentum=0.8)},
    {"recipe": recipe(weight_decay=0.1)},
    {"recipe": recipe(batch_size=64)},
    {"recipe": recipe(schedule="constant")},
    {"recipe": recipe(augment=True)},
    {"normalisation": {"mean": [0.5], "std": [0.5]}},
    {"normalisation": {"mean": [0.5], "std": [0.4]}},
    {"normalisation": {"mean": [0.4], "std": [0.5]}},
    {"model": "net.py:net"},
    {"model": "net.py:other"},
    {"method": conmu(gamma=1.0)},
    {"method": conmu(alpha=3)},
    {"space": {"alpha": {"low": 0, "high": 19}}},
    {"space": {"sigma": {"low": 0.1, "high": 2.0}}},
    {"space": {"gamma": {"low": 0.1, "high": 2.0}}},
    {"space": {"alpha": {"choices": [0, 20]}}},
    {"objectives": {"attack": "svc"}},
    {"objectives": {"retrainings": 6}},
    {"objectives": {"runtime": "measured"}},
]


def test_whatever_changes_a_trial_changes_the_identity() -> None:
    identities = [definition(**changes).identity() for changes in [{}, *OTHER]]
    assert all(identities.count(identity) == 1 for identity in identities)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seed": 4}, "seed"),
        ({"recipe": recipe(epochs=11)}, "recipe.epochs"),
        ({"objectives": {"attack": "svc"}}, "objectives.attack"),
        ({"space": {"alpha": {"low": 0, "high": 19}}}, "space.alpha"),
    ],
)
def test_the_identity_tells_which_field_differs(changes: Content, field: str) -> None:
    ours, theirs = definition().identity(), definition(**changes).identity()
    assert {key for key in ours | theirs if ours.get(key) != theirs.get(key)} == {field}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"sampler": "nsga2"}),
        ({}, {"first_trials": [{"alpha": 7}]}),
        ({}, {"method": {"name": "conmu"}, "space": {}, "objectives": {"retrainings": 5}}),
        ({}, {"space": {"alpha": {"low": 0, "high": 20}}}),
        ({"data": {"name": "folder:/a"}}, {"data": {"name": "folder:/elsewhere/b"}}),
        ({"data": {"name": "digits"}}, {"data": {"name": "digits", "dir": "/elsewhere"}}),
        ({"model": "net:net"}, {"model": "net:net", "model_dir": "/elsewhere"}),
        ({"model": "a/net.py:net"}, {"model": "/elsewhere/net.py:net"}),
        ({}, {"original": "/a/theirs.pt"}),
        (
            {"normalisation": {"mean": [0], "std": [1]}},
            {"normalisation": {"mean": [0.0], "std": [1.0]}},
        ),
        ({}, {"recipe": recipe(augment=False)}),
        (
            {"request": {"kind": "indices", "file": "/a/b.txt"}},
            {"request": {"kind": "indices", "file": "/elsewhere/c.csv"}},
        ),
    ],
)
def test_what_does_not_change_a_trial_does_not_change_the_identity(
    one: Content, other: Content
) -> None:
    assert definition(**one).identity() == definition(**other).identity()


@pytest.mark.parametrize("changes", [{}, *OTHER])
def test_the_identity_survives_json(changes: Content) -> None:
    identity = definition(**changes).identity()
    assert json.loads(json.dumps(identity)) == identity


def test_what_could_not_be_chosen_once_is_not_in_the_identity_unless_it_is_chosen() -> None:
    assert "recipe.augment" not in definition().identity()
    assert definition(recipe=recipe(augment=True)).identity()["recipe.augment"] is True
    normalisation = {"normalisation.mean": [0.5, 0.4], "normalisation.std": [0.2, 0.1]}
    assert not definition().identity().keys() & {"original", "normalisation", *normalisation}
    chosen = definition(normalisation={"mean": [0.5, 0.4], "std": [0.2, 0.1]}).identity()
    assert chosen == {**definition().identity(), **normalisation}


def stored(each: Definition) -> Definition:
    return validate(json.loads(json.dumps(each.model_dump(mode="json"))), "the storage")


@pytest.mark.parametrize(
    "changes", [{}, *OTHER, {"sampler": "gp"}, {"first_trials": [{"alpha": 7, "sigma": 0.2}]}]
)
def test_a_definition_survives_json(changes: Content) -> None:
    each = definition(**changes)
    assert stored(each) == each
    assert stored(each).identity() == each.identity()


@pytest.mark.parametrize("name", builtin_names())
def test_a_built_in_definition_survives_json(name: str) -> None:
    assert stored(load(name)) == load(name)


@settings(max_examples=30)
@given(
    st.dictionaries(
        st.sampled_from(["gamma", "sigma", "retain_z2"]),
        st.lists(st.floats(0, 5), min_size=1, max_size=4).map(lambda c: {"choices": c})
        | st.floats(1e-3, 1).flatmap(
            lambda low: st.fixed_dictionaries(
                {"low": st.just(low), "high": st.floats(1, 5), "log": st.booleans()}
            )
        ),
    )
)
def test_any_space_survives_json(space: Content) -> None:
    each = definition(space=space)
    assert stored(each) == each
    assert stored(each).ranges == each.ranges


def test_a_definition_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        definition().seed = 1  # type: ignore[misc]


FULL = definition(
    method=conmu(gamma=2.0, pruning_rate=0.3),
    space={"alpha": {"low": 0, "high": 9}},
    first_trials=[{"alpha": 7}],
    objectives={"attack": "svc"},
    sampler="gp",
    request={"kind": "class", "label": 3},
)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "conmu"])
def test_another_method_has_its_own_space_on_the_same_problem(name: str) -> None:
    other = FULL.with_method(name)
    assert other.name == f"mine-{name}"
    assert other.unlearning is METHODS[name]
    assert other.ranges == METHODS[name].space
    default = METHODS[name].config()
    assert other.starting_points() == [{key: getattr(default, key) for key in other.ranges}]
    ours, theirs = FULL.identity(), other.identity()
    differing = {key for key in ours | theirs if ours.get(key) != theirs.get(key)}
    assert {key.partition(".")[0] for key in differing} == {"name", "method", "space"}
    assert other.sampler == "gp"
    assert stored(other) == other


def test_of_what_is_fixed_the_pruning_rate_alone_stays_with_another_method() -> None:
    assert FULL.with_method("ft").method == {"name": "ft", "pruning_rate": 0.3}
    others = conmu(gamma=2.0, epochs=7)  # of which "ft" has epochs
    assert definition(method=others).with_method("ft").method == {"name": "ft"}


def test_the_method_that_a_definition_has_already_leaves_it_as_it_is() -> None:
    assert FULL.with_method("conmu") is FULL


def test_a_method_that_does_not_exist_is_refused_and_the_known_ones_listed() -> None:
    with pytest.raises(InputError, match="no method is called 'si sa'") as caught:
        FULL.with_method("si sa")
    assert all(name in caught.value.remedy for name in METHODS)


@pytest.mark.parametrize(("epochs", "longest"), [(7, 7), (9, 8)])
def test_by_itself_delta_ends_with_the_recipe(epochs: int, longest: int) -> None:
    fine_tuning = definition(method={"name": "ft"}, recipe=recipe(epochs=epochs))
    assert fine_tuning.longest_delta() == 0
    other = fine_tuning.with_method("conmu")
    assert other.ranges["delta"] == IntRange(0, longest)
    assert other.longest_delta() == longest


def test_a_name_that_becomes_too_long_is_refused() -> None:
    assert definition(name="a" * 97).with_method("ft").name == "a" * 97 + "-ft"
    with pytest.raises(InputError, match="with the method ft: name: "):
        definition(name="a" * 98).with_method("ft")


def test_downloads_in_another_folder_are_the_same_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    moved = FULL.with_data_dir(Path("downloads"))
    assert moved.data.dir == str(Path.cwd() / "downloads")
    assert moved.identity() == FULL.identity()
