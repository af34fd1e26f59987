"""Carrying out one real forget request: a configuration, the user's weights, a list of samples."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from objectives.evaluation import evaluate
from pareto.application.evidence import Application, Given, Origin, evidence_of, tensors_sha256
from pareto.application.folder import check_folder, claimed, other_requests
from pareto.defaults import WORKSPACE
from pareto.engines import Announce
from pareto.engines.devices import use_one_thread
from pareto.engines.plain_torch import plain_torch
from pareto.errors import TrialFails
from pareto.experiments.arms import Arm, configure
from pareto.experiments.experiment import refuse_long_proxies
from pareto.preparation.earlier import EVIDENCE, MARK, WEIGHTS
from pareto.preparation.material import Material
from pareto.preparation.prepared import original_figures, original_weights
from studies import Definition
from studies.definition import IndexSection
from unlearn.checkpoint import save_checkpoint
from unlearn.errors import InputError, some
from unlearn.files import write_at_once
from unlearn.requests import resolve
from unlearn.seeds import derive_seed
from unlearn.stopwatch import Stopwatch


@plain_torch()
def apply_request(
    definition: Definition,
    arm: Arm,
    index_file: Path,
    folder: Path,
    *,
    origin: Origin,
    study_identity: Mapping[str, Any] | None = None,
    original: Path | None = None,
    seed: int | None = None,
    device: torch.device,
    workspace: str = WORKSPACE,
    announce: Announce = lambda _message: None,
) -> dict[str, Any]:
    """Make a model forget the samples that a file lists.

    Data and model are the definition's; θ_o is `original`, or the definition's, or else what its
    study was made with. If θ_o is itself the outcome of a request, with its evidence beside it, the
    samples forgotten then are not trained on again, and the chain is recorded. Nothing is
    retrained. After an interruption the same call begins anew.

    Args:
        arm: the method and its configuration.
        folder: gets `unlearned.safetensors`, the weights of the plain network, and
            `evidence.json`.
        study_identity: of the study that the configuration was found in, or else whose data and
            model these are; None if there is no such study.
        seed: of what is random in the method; default: a function of the definition's.

    Returns:
        The content of `evidence.json`.

    Raises:
        InputError: something given is wrong, the folder holds another result already, or the study
            was made with other files and `original` is not given.
        TrialFails: the method leads to a model without finite answers.
    """
    use_one_thread()
    refuse_long_proxies(definition, [arm])
    if original is not None:
        definition = definition.model_copy(update={"original": str(original)})
    given = None if definition.original is None else Given.of(Path(definition.original).resolve())
    if _is_pipe(index_file):
        raise InputError(
            f"{index_file} is a pipe, which can be read once only",
            "write the list to a file, which the evidence can speak of",
        )
    asked = Given.of(index_file)
    check_folder(folder, asked.sha256)
    request = IndexSection(kind="indices", file=str(index_file))
    material = Material.load(definition.model_copy(update={"request": request}))
    changed = _other_files(material, study_identity)
    if changed and original is None:
        raise InputError(
            f"the study {definition.name!r} was made with other files:"
            f" {', '.join(sorted(changed))} differ",
            "put back the files that it was begun with, or name the weights with --original",
        )
    changed -= {"original.sha256"}  # which the user has chosen
    if changed:
        announce(f"the study was made with other files: {', '.join(sorted(changed))} differ")
    if "data.sha256" in changed:
        announce(f"numbers in {index_file} are taken for positions in the data as they are now")
    if material.earlier.data_changed:
        announce("the data have changed since an earlier request: its samples are taken to be gone")
    weights = original_weights(_as_studied(material, definition), workspace, device, announce)
    problem = material.problem(weights, device)
    sets = material.evaluation_sets(problem, material.dataset.test)
    before = original_figures(material, problem, sets, announce)
    method, config = configure(problem, arm.cell(0))
    with claimed(folder, asked.sha256):
        announce(f"forgetting {len(problem.forget)} of {len(material.dataset.train)} samples")
        seed = derive_seed(definition.seed, "application") if seed is None else seed
        stopwatch = Stopwatch(device)
        unlearned = method.unlearn(problem, config, seed, stopwatch, None)
        try:
            after = evaluate(unlearned.model, sets, definition.objectives.attack)
        except FloatingPointError as error:
            raise TrialFails(
                f"{arm.method} fails on this request: {error}", "choose another configuration"
            ) from None
        original_network = material.factory.network(problem.original).state_dict()
        others = other_requests(folder, tensors_sha256(original_network))
        if others:
            announce(
                "these weights have not forgotten what other requests have named that began with"
                f" the same ones: {some([other.name for other in others])}; to forget all,"
                " begin with the weights of one of them (--original)"
            )
        done = Application(
            material,
            asked,
            given,
            problem,
            arm.method,
            config,
            seed,
            unlearned,
            stopwatch,
            before,
            after,
            origin,
            changed=bool(changed),
        )
        # The evidence comes last: weights without it are known to be unfinished.
        mean, std = material.factory.mean, material.factory.std
        save_checkpoint(folder / WEIGHTS, done.network, mean, std, **{MARK: asked.sha256})
        evidence = evidence_of(done, folder / WEIGHTS)
        written = json.dumps(evidence, indent=2, ensure_ascii=False)
        write_at_once(folder / EVIDENCE, written.encode())
        return evidence


def _is_pipe(file: Path) -> bool:
    try:
        return file.is_fifo()
    except OSError:  # what is wrong with it is told where it is read
        return False


def _other_files(material: Material, study_identity: Mapping[str, Any] | None) -> set[str]:
    """Which files are others than those that a study was made with."""
    if study_identity is None:
        return set()
    ours, files = material.identity(), ("data.sha256", "model.sha256", "original.sha256")
    return {name for name in files if study_identity.get(name) != ours.get(name)}


def _as_studied(material: Material, definition: Definition) -> Material:
    """The material that θ_o was made with, if the study has made it."""
    if material.original is not None:
        return material
    seed = derive_seed(definition.seed, "data")
    partition = resolve(definition.forget_request, material.dataset, seed)
    return replace(material, definition=definition, partition=partition)
