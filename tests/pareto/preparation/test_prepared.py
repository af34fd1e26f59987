"""What a study's trials share: made once, and the same whenever it is made."""

import json
import pickle
import re
import urllib.request
from dataclasses import astuple, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import safetensors.torch
import torch
from platformdirs import user_cache_path

from pareto.engines import SerialEngine
from pareto.preparation import prepared as preparation
from pareto.preparation.material import Material
from pareto.preparation.prepared import (
    Prepared,
    epochs_until_steady,
    open_workspace,
    prepare,
    seconds_of_retraining,
)
from pareto.workspace.artifacts import Artifact
from tests.pareto.conftest import Tiny
from tests.pareto.home import Home, tiny
from unlearn.checkpoint import save_checkpoint
from unlearn.errors import InputError
from unlearn.stopwatch import Stopwatch, Work
from unlearn.training import Recipe, predict, train_from_scratch, work_of_training

CPU = torch.device("cpu")
ENGINE = SerialEngine(CPU)
KNOWS_LITTLE = "the original model is right on"


def prepare_in(workspace: Path, material: Material) -> tuple[Prepared, list[str]]:
    """Prepare in a folder; returns also what was announced, but for that an original model which is
    trained for three epochs knows little."""
    said: list[str] = []
    opened = open_workspace(material, str(workspace), said.append)
    prepared = prepare(material, material.search, opened, ENGINE, said.append)
    return prepared, [line for line in said if not line.startswith(KNOWS_LITTLE)]


def same_states(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def assert_same(first: Prepared, second: Prepared) -> None:
    """Equal bit for bit, but for what the stopwatch said."""
    assert same_states(first.original, second.original)
    assert first.original_figures == second.original_figures
    assert first.reference.runs == second.reference.runs
    ours, theirs = first.precomputed, second.precomputed
    assert ours is not None
    assert theirs is not None
    assert torch.equal(ours.forget_scores, theirs.forget_scores)
    assert torch.equal(ours.retain_scores, theirs.retain_scores)
    assert len(ours.proxies) == len(theirs.proxies)
    assert all(map(same_states, ours.proxies, theirs.proxies))
    assert [cost.work for cost in ours.proxy_training] == [
        cost.work for cost in theirs.proxy_training
    ]


def test_what_is_read_from_the_workspace_is_what_was_made(tiny_study: Tiny) -> None:
    read, said = prepare_in(tiny_study.home.workspace, tiny_study.material)
    assert_same(read, tiny_study.prepared)
    assert read.reference == tiny_study.prepared.reference
    assert read.fingerprint == tiny_study.prepared.fingerprint
    assert said == []


def test_what_is_made_anew_is_the_same_bit_for_bit(tiny_study: Tiny, tmp_path: Path) -> None:
    anew, said = prepare_in(tmp_path, Material.load(tiny()))
    assert_same(anew, tiny_study.prepared)
    assert anew.fingerprint == tiny_study.prepared.fingerprint
    assert len(said) == 6


def test_a_retraining_has_one_price_on_a_machine_in_every_workspace(
    tiny_study: Tiny, tmp_path: Path
) -> None:
    anew, _ = prepare_in(tmp_path, Material.load(tiny()))
    assert anew.reference == tiny_study.prepared.reference


def test_another_seed_leads_to_another_fingerprint(tiny_study: Tiny, tmp_path: Path) -> None:
    other, _ = prepare_in(tmp_path, Material.load(tiny().model_copy(update={"seed": 4})))
    assert other.fingerprint != tiny_study.prepared.fingerprint
    assert re.fullmatch("[0-9a-f]{16}", other.fingerprint)


@pytest.mark.parametrize("name", ["original", "retrained-2", "scores-0.1", "proxies-2"])
def test_the_fingerprint_tells_one_bit_of_all_that_was_prepared(
    tiny_study: Tiny, home: Home, name: str
) -> None:
    workspace = open_workspace(tiny_study.material, str(home.workspace), print)
    kept = workspace.get(name, lambda: pytest.fail(f"there is no {name}"))
    tensors = {key: tensor.clone() for key, tensor in kept.tensors.items()}
    tensors[max(tensors)].view(torch.uint8).view(-1)[0] ^= 1
    (seal,) = home.workspace.glob(f"*/{name}.sha256")
    seal.unlink()
    workspace.get(name, lambda: Artifact(tensors, kept.notes))
    changed, said = prepare_in(home.workspace, tiny_study.material)
    assert said == []
    assert changed.fingerprint != tiny_study.prepared.fingerprint


def test_the_fingerprint_does_not_depend_on_what_it_is_scored_on(tiny_study: Tiny) -> None:
    material, place = tiny_study.material, str(tiny_study.home.workspace)
    report = prepare(
        material, material.report, open_workspace(material, place, print), ENGINE, print
    )
    assert report.fingerprint == tiny_study.prepared.fingerprint


def test_a_damaged_file_alone_is_made_again_with_a_warning(tiny_study: Tiny, home: Home) -> None:
    (damaged,) = home.workspace.glob("*/retrained-1.safetensors")
    damaged.write_bytes(damaged.read_bytes()[:-9])
    mended, said = prepare_in(home.workspace, tiny_study.material)
    assert_same(mended, tiny_study.prepared)
    assert said[0] == f"{damaged} is damaged and is made again"
    assert said[1:] == ["retraining without the forgotten samples, 2 of 3"]


def test_there_is_a_proxy_for_every_number_of_epochs_that_may_be_asked_for(
    tiny_study: Tiny,
) -> None:
    precomputed = tiny_study.prepared.precomputed
    assert precomputed is not None
    assert len(precomputed.proxies) == len(precomputed.proxy_training) == 3
    assert not same_states(dict(precomputed.proxies[1]), dict(precomputed.proxies[2]))


def test_work_is_counted_as_it_is_today_whoever_made_the_proxies(
    tiny_study: Tiny, home: Home
) -> None:
    workspace = open_workspace(tiny_study.material, str(home.workspace), print)
    kept = workspace.get("proxies-2", lambda: pytest.fail("there are no proxies"))
    older = [
        {"work": {"steps": 7 * epochs, "samples": 3}, "seconds": epochs + 0.5}
        for epochs in range(3)
    ]
    (seal,) = home.workspace.glob("*/proxies-2.sha256")
    seal.unlink()
    workspace.get("proxies-2", lambda: Artifact(kept.tensors, {"training": older}))
    precomputed = prepare_in(home.workspace, tiny_study.material)[0].precomputed
    assert precomputed is not None
    retained = len(tiny_study.material.partition.retain)
    assert [cost.work for cost in precomputed.proxy_training] == [
        Work(1, epochs * retained, epochs) for epochs in range(3)
    ]
    assert [cost.seconds for cost in precomputed.proxy_training] == [0.5, 1.5, 2.5]


def test_a_retraining_costs_its_first_epoch_and_for_all_others_what_the_second_does(
    tiny_study: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 110.0, 114.0])
    monkeypatch.setattr(Stopwatch, "now", lambda _stopwatch: next(clock))
    problem = tiny_study.material.problem(tiny_study.prepared.original, CPU)
    assert problem.recipe.epochs == 3
    assert seconds_of_retraining(problem, times=1) == 10 + 4 + 4


@pytest.mark.parametrize("batch_size", [16, 22, 30, 45, 64, 90, 200])
def test_where_updates_are_replayed_an_epoch_that_only_replays_tells_of_all_others(
    tiny_study: Tiny, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "replays", lambda _device: True)
    problem = tiny_study.material.problem(tiny_study.prepared.original, CPU)
    problem = replace(problem, recipe=replace(problem.recipe, epochs=40, batch_size=batch_size))
    works = [
        astuple(work_of_training(problem.original, len(problem.retain), problem.recipe, epochs))
        for epochs in range(41)
    ]
    of_epochs = [np.subtract(after, before).tolist() for before, after in pairwise(works)]
    steady = next(n for n in range(2, 41) if all(of == of_epochs[-1] for of in of_epochs[n - 1 :]))
    assert epochs_until_steady(problem) == steady


NEVER = 1e9
"""Seconds that nothing here takes."""


def claim_never(workspace: Path, material: Material) -> None:
    """Have the workspace and the cache say of everything that it took for ever."""
    for file in user_cache_path("pareto-search").glob("retraining-*.json"):
        file.write_text(str(NEVER))
    kept = open_workspace(material, str(workspace), print)
    for file in workspace.glob("*/*.safetensors"):
        artifact = kept.find(file.stem)
        assert artifact is not None
        notes = json.loads(
            re.sub(r'("seconds": )[\d.e-]+', rf"\g<1>{NEVER}", json.dumps(artifact.notes))
        )
        kept.put(file.stem, Artifact(artifact.tensors, notes))


@pytest.mark.parametrize("runtime", ["calibrated", "measured"])
def test_what_it_takes_is_measured_on_every_kind_of_device_and_what_was_made_stays(
    home: Home, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    material = Material.load(tiny(objectives={"runtime": runtime}))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home.folder / "cache"))
    prepare_in(home.workspace, material)
    claim_never(home.workspace, material)
    before, _ = prepare_in(home.workspace, material)
    for module in ("preparation.prepared", "engines.devices"):
        monkeypatch.setattr(f"pareto.{module}.device_model", lambda _device: "Another (R) Device")
    after, said = prepare_in(home.workspace, material)
    again, nothing = prepare_in(home.workspace, material)
    assert_same(before, after)
    assert before.fingerprint == after.fingerprint == again.fingerprint
    seconds = [
        [
            each.reference.seconds,
            each.precomputed.scoring.seconds,
            each.precomputed.proxy_training[1].seconds,
        ]
        for each in (before, after, again)
        if each.precomputed is not None
    ]
    assert seconds[0] == [NEVER] * 3
    measured = [True, runtime == "measured", runtime == "measured"]
    assert [each < NEVER for each in seconds[1]] == measured
    assert seconds[2] == seconds[1]
    assert (len(said), nothing) == (3 if runtime == "measured" else 1, [])


def test_the_retrained_models_differ(tiny_study: Tiny) -> None:
    files = list(tiny_study.home.workspace.glob("*/retrained-?.safetensors"))
    assert len({file.read_bytes() for file in files}) == len(files) == 3


def test_a_stored_reference_counts_more_than_a_new_one(tiny_study: Tiny) -> None:
    stored = tiny_study.prepared.reference.as_dict() | {"seconds": 123.0}
    assert tiny_study.prepared.with_reference(stored).reference.seconds == 123.0


def test_both_halves_of_the_test_data_are_all_of_it_once(tiny_study: Tiny) -> None:
    material = tiny_study.material
    halves = torch.cat([material.search.images, material.report.images]).flatten(1)
    everything = material.dataset.test.images.flatten(1)
    assert len(material.search) == len(material.report) == 40
    assert sorted(halves.tolist()) == sorted(everything.tolist())


@pytest.mark.parametrize(
    "changes",
    [
        {"method": {"gamma": 0.7}},
        {"space": {"alpha": {"low": 0, "high": 3}}},
        {"objectives": {"runtime": "measured"}},
    ],
)
def test_studies_that_differ_in_what_they_search_share_a_workspace(
    tiny_study: Tiny, changes: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    keys = [
        open_workspace(material, str(tmp_path), print).key
        for material in (tiny_study.material, Material.load(tiny(**changes)))
    ]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"pixel_noise": 0.2}},
        {"data": {"train_limit": 110}},
        {"request": {"fraction": 0.3}},
        {"recipe": {"learning_rate": 0.04}},
        {"objectives": {"attack": "svc"}},
    ],
)
def test_studies_of_other_models_have_workspaces_of_their_own(
    tiny_study: Tiny, changes: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    keys = [
        open_workspace(material, str(tmp_path), print).key
        for material in (tiny_study.material, Material.load(tiny(**changes)))
    ]
    assert keys[0] != keys[1]


def test_the_identity_tells_what_the_data_and_the_request_are(tiny_study: Tiny) -> None:
    before = tiny_study.material.identity()
    after = Material.load(tiny(request={"fraction": 0.5})).identity()
    differing = {key for key in before if before[key] != after[key]}
    assert differing == {"request.fraction", "request.sha256"}


def test_an_index_file_is_identified_by_what_it_lists(tmp_path: Path) -> None:
    identities = []
    for name, content in (("a", "1 2 3"), ("b", "3,2,1"), ("c", "1 2 4")):
        (tmp_path / name).write_text(content)
        definition = tiny().model_dump(mode="json")
        definition["request"] = {"kind": "indices", "file": str(tmp_path / name)}
        identities.append(Material.load(type(tiny()).model_validate(definition)).identity())
    assert identities[0] == identities[1] != identities[2]


def test_downloads_go_to_the_folder_of_the_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    definition = tiny(data={"name": "svhn", "dir": str(tmp_path / "data")})
    with pytest.raises(InputError, match=str(tmp_path / "data" / "train_32x32.mat")):
        Material.load(definition)


def test_a_missing_file_alone_is_made_again(tiny_study: Tiny, home: Home) -> None:
    (proxies,) = home.workspace.glob("*/proxies-2.safetensors")
    proxies.unlink()
    made, said = prepare_in(home.workspace, tiny_study.material)
    assert_same(made, tiny_study.prepared)
    assert said == ["training the proxy for up to 2 epochs"]


def plain_weights(tiny_study: Tiny) -> dict[str, torch.Tensor]:
    """Of the network that the study has trained, without what normalises its images."""
    original = tiny_study.prepared.original
    return {name[2:]: tensor for name, tensor in original.items() if name.startswith("1.")}


def given(file: Path, **changes: Any) -> Material:
    """The tiny study with the θ_o of a file."""
    return Material.load(tiny().model_copy(update={"original": str(file), **changes}))


def differing(one: Material, other: Material) -> set[str]:
    ours, theirs = one.identity(), other.identity()
    return {key for key in ours | theirs if ours.get(key) != theirs.get(key)}


@pytest.fixture
def weights(tiny_study: Tiny, tmp_path: Path) -> Path:
    """θ_o of the tiny study in a file, with the statistics of its data."""
    factory, file = tiny_study.material.factory, tmp_path / "theirs.safetensors"
    save_checkpoint(file, plain_weights(tiny_study), factory.mean, factory.std)
    return file


def test_a_given_original_is_taken_for_what_would_have_been_trained(
    tiny_study: Tiny, weights: Path, tmp_path: Path
) -> None:
    prepared, said = prepare_in(tmp_path / "workspace", given(weights))
    assert_same(prepared, tiny_study.prepared)
    assert prepared.fingerprint == tiny_study.prepared.fingerprint
    assert "training the original model" not in said
    assert not list((tmp_path / "workspace").glob("*/original*"))


def test_a_given_original_is_part_of_the_identity_and_its_path_is_not(
    tiny_study: Tiny, weights: Path, tmp_path: Path
) -> None:
    material = given(weights)
    normalisation = {"normalisation.mean", "normalisation.std"}
    assert differing(material, tiny_study.material) == {"original.sha256", *normalisation}
    state = plain_weights(tiny_study)
    torch.save({"state_dict": state}, tmp_path / "same.pt")
    assert differing(material, given(tmp_path / "same.pt")) == normalisation
    name = max(state)
    torch.save(state | {name: state[name] + 1e-3}, tmp_path / "other.pt")
    other = given(tmp_path / "other.pt")
    assert differing(given(tmp_path / "same.pt"), other) == {"original.sha256"}
    keys = {
        open_workspace(each, str(tmp_path), print).key
        for each in (material, other, tiny_study.material)
    }
    assert len(keys) == 3


def test_images_are_normalised_as_the_definition_says_or_the_file_or_the_data(
    tiny_study: Tiny, tmp_path: Path
) -> None:
    file, state = tmp_path / "theirs.safetensors", plain_weights(tiny_study)
    save_checkpoint(file, state, (0.25,), (0.5,))
    said = type(tiny()).model_validate(
        tiny().model_dump(mode="json") | {"normalisation": {"mean": [0.125], "std": [2.0]}}
    )
    by_file, by_definition = given(file), given(file, normalisation=said.normalisation)
    assert (by_file.factory.mean, by_file.factory.std) == ((0.25,), (0.5,))
    assert (by_definition.factory.mean, by_definition.factory.std) == ((0.125,), (2.0,))
    assert differing(by_file, by_definition) == {"normalisation.mean", "normalisation.std"}
    assert by_definition.original is not None
    assert by_definition.original["0.std"].flatten().tolist() == [2.0]
    save_checkpoint(file, state, (0.125,), (2.0,))
    assert differing(given(file), by_definition) == set()
    # Without a θ_o, too.
    trained = Material.load(said)
    assert (trained.factory.mean, trained.factory.std) == ((0.125,), (2.0,))
    assert differing(trained, tiny_study.material) == {"normalisation.mean", "normalisation.std"}
    safetensors.torch.save_file(state, file)
    assert given(file).factory == tiny_study.material.factory


def test_a_normalisation_for_other_images_is_refused(tiny_study: Tiny, tmp_path: Path) -> None:
    file = tmp_path / "theirs.safetensors"
    save_checkpoint(file, plain_weights(tiny_study), (0.5,) * 3, (0.5,) * 3)
    with pytest.raises(InputError, match="for 3 channels, the images have 1"):
        given(file)


def test_a_missing_original_is_told_before_anything_is_downloaded(tmp_path: Path) -> None:
    definition = tiny(data={"name": "svhn", "dir": str(tmp_path)})
    missing = definition.model_copy(update={"original": str(tmp_path / "missing.pt")})
    with pytest.raises(InputError, match=r"missing\.pt: No such file"):
        Material.load(missing)


def test_the_original_travels_to_other_processes_and_stays_in_every_repeat(weights: Path) -> None:
    material = given(weights)
    sent: Material = pickle.loads(pickle.dumps(material))
    assert sent.identity() == material.identity()
    for other in (sent, material.repeated(1)):
        assert material.original is not None
        assert other.original is not None
        assert same_states(material.original, other.original)


@pytest.fixture(scope="module")
def well_trained(tiny_study: Tiny) -> dict[str, torch.Tensor]:
    """Weights that are right on nearly all of the training data."""
    factory, train = tiny_study.material.factory, tiny_study.material.dataset.train
    recipe = Recipe(epochs=15, learning_rate=0.05, batch_size=16)
    model = train_from_scratch(factory, train, recipe, 1)
    assert (predict(model, train.images).argmax(dim=1) == train.labels).float().mean() > 0.9
    return dict(factory.network(model).state_dict())


@pytest.mark.parametrize(("kept", "warned"), [(0, True), (1, True), (4, False), (10, False)])
def test_an_original_that_hardly_knows_its_training_data_is_told_before_more_is_trained(
    tiny_study: Tiny, well_trained: dict[str, torch.Tensor], tmp_path: Path, kept: int, warned: bool
) -> None:
    # Its classes are in another order, but for the first ones; a tenth of the data is of each.
    order = [*range(kept), *range(kept + 1, 10), kept][:10]
    state = well_trained | {name: well_trained[name][order] for name in ("13.weight", "13.bias")}
    torch.save(state, tmp_path / "theirs.pt")
    prepared, said = prepare_in(tmp_path / "workspace", given(tmp_path / "theirs.pt"))
    pattern = r"theirs\.pt is right on [\d.]+ % of its training data, where guessing is on 10.0 %"
    assert bool(re.search(pattern, said[0])) == warned
    assert sum("guessing" in line for line in said) == warned
    told = f"theirs.pt is right on {prepared.original_figures.ta:.2f} % of the test data"
    assert (told in said[0]) is not warned


@pytest.mark.parametrize(("learning_rate", "warned"), [(1e-9, True), (0.2, False)])
def test_an_original_that_has_learnt_nothing_is_told(
    tmp_path: Path, learning_rate: float, warned: bool
) -> None:
    recipe = {"learning_rate": learning_rate, "epochs": 12, "batch_size": 16}
    material, said = Material.load(tiny(recipe=recipe)), list[str]()
    workspace = open_workspace(material, str(tmp_path), said.append)
    prepare(material, material.search, workspace, ENGINE, said.append)
    assert sum(line.startswith(KNOWS_LITTLE) for line in said) == warned


def test_an_original_whose_answers_are_not_finite_is_refused(
    tiny_study: Tiny, tmp_path: Path
) -> None:
    state = plain_weights(tiny_study)
    torch.save({name: tensor * 1e30 for name, tensor in state.items()}, tmp_path / "theirs.pt")
    with pytest.raises(InputError, match=r"theirs\.pt gives answers that are not finite"):
        prepare_in(tmp_path / "workspace", given(tmp_path / "theirs.pt"))
