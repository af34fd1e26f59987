"""Carrying out one real forget request: a configuration, the user's weights, a list of samples."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from objectives.evaluation import evaluate
from pareto.arms import Arm, configure
from pareto.devices import environment, use_one_thread
from pareto.engines import Announce
from pareto.errors import TrialFails
from pareto.evidence import (
    EVIDENCE,
    FORMAT,
    MARK,
    WEIGHTS,
    check_folder,
    file_sha256,
)
from pareto.experiment import refuse_long_proxies
from pareto.material import Material
from pareto.plain_words import plain_words
from pareto.preparation import original_figures, original_weights
from pareto.workspace import Artifact
from studies import Definition
from studies.defaults import WORKSPACE
from studies.definition import IndexSection
from unlearn.checkpoint import on_cpu, save_checkpoint
from unlearn.errors import InputError
from unlearn.files import write_at_once
from unlearn.pruning import sparsity
from unlearn.requests import resolve
from unlearn.seeds import derive_seed
from unlearn.stopwatch import Stopwatch
from unlearn.training import predict


@dataclass(frozen=True)
class Origin:
    """Where a configuration comes from.

    Attributes:
        study, trial: the trial that found it, as its study says; None if that is not known.
        validation: what came of running that trial again, if that was done.
        file: the file that it was read from, if no study knows of it.
    """

    study: str | None = None
    trial: int | None = None
    validation: Mapping[str, Any] | None = None
    file: str | None = None


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
    given = None if definition.original is None else Path(definition.original).resolve()
    given_sha256 = None if given is None else file_sha256(given)
    index_file_sha256 = file_sha256(index_file)
    check_folder(folder, index_file_sha256)
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
    earlier, partition = material.earlier, material.partition
    if earlier.data_changed:
        announce("the data have changed since an earlier request: its samples are taken to be gone")
    positions = partition.forget.tolist()
    weights = original_weights(_as_studied(material, definition), workspace, device, announce)
    problem = material.problem(weights, device)
    sets = material.evaluation_sets(problem, material.dataset.test)
    attack = definition.objectives.attack
    before = original_figures(material, problem, sets, announce).as_dict()
    method, config = configure(problem, arm.cell(0))
    _make_folder(folder)
    announce(f"forgetting {len(positions)} of {len(material.dataset.train)} samples")
    chosen_seed = derive_seed(definition.seed, "application") if seed is None else seed
    stopwatch = Stopwatch(device)
    unlearned = method.unlearn(problem, config, chosen_seed, stopwatch, None)
    try:
        after = evaluate(unlearned.model, sets, attack).as_dict()
    except FloatingPointError as error:
        raise TrialFails(
            f"{arm.method} fails on this request: {error}", "choose another configuration"
        ) from None
    factory, names = material.factory, material.dataset.files
    network = factory.network(unlearned.model).state_dict()
    evidence: dict[str, Any] = {
        "format": FORMAT,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "asked": {
            "index_file": index_file.name,
            "index_file_sha256": index_file_sha256,
            "forgotten": len(positions),
            "retained": len(partition.retain),
            "training_samples": len(material.dataset.train),
            "test_samples": len(material.dataset.test),
            "data": definition.data.name,
            "data_sha256": material.dataset.fingerprint,
            "positions": positions,
            "files": names and [names[position] for position in positions],
        },
        "done": {
            "method": arm.method,
            "parameters": asdict(config),
            "recipe": asdict(problem.recipe),
            "seed": chosen_seed,
            "study_seed": definition.seed,
            "kept": unlearned.sizes,
            "flags": list(unlearned.flags),
            **environment(device),
        },
        "weights": {
            "model": definition.model,
            "model_file_sha256": factory.source_fingerprint(),
            "normalisation": {"mean": list(factory.mean), "std": list(factory.std)},
            "before": {
                "file": None if given is None else given.name,
                "file_sha256": given_sha256,
                "tensors_sha256": _tensors_sha256(factory.network(problem.original).state_dict()),
            },
            "after": {
                "file": WEIGHTS,
                "tensors_sha256": _tensors_sha256(network),
                "zeros": sparsity(unlearned.model),
            },
        },
        "cost": {
            "seconds": stopwatch.seconds,
            "phases": {name: asdict(phase) for name, phase in stopwatch.phases.items()},
        },
        "figures": {
            "attack": attack,
            "before": before | _still_right(problem.original, material, earlier.positions),
            "after": after | _still_right(unlearned.model, material, earlier.positions),
        },
        "study": asdict(origin),
        "meaning": plain_words(
            before,
            after,
            retrained=arm.method == "retrain",
            given=given is not None,
            found=origin.trial is not None,
            validated=origin.validation is not None,
            changed=bool(changed),
            earlier=earlier,
            flags=unlearned.flags,
        ),
        "chain": list(earlier.links),
        "earlier_positions": list(earlier.positions),
        "data_changed": earlier.data_changed,
    }
    # The evidence comes last: weights without it are known to be unfinished.
    file = folder / WEIGHTS
    save_checkpoint(file, network, factory.mean, factory.std, **{MARK: index_file_sha256})
    evidence["weights"]["after"]["file_sha256"] = file_sha256(file)
    written = json.dumps(evidence, indent=2, ensure_ascii=False)
    write_at_once(folder / EVIDENCE, written.encode())
    return evidence


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


def _still_right(model: nn.Module, material: Material, earlier: Sequence[int]) -> dict[str, float]:
    """Accuracy, in percent, on what earlier requests have forgotten; empty if there were none."""
    if not earlier:
        return {}
    device = next(model.parameters()).device
    samples = material.dataset.train.take(torch.tensor(earlier)).to(device)
    right = predict(model, samples.images).argmax(dim=1) == samples.labels
    return {"fa_of_earlier_requests": 100.0 * float(right.double().mean())}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make {folder}: {error.strerror}", "name another folder with --out"
        ) from None


def _tensors_sha256(state: Mapping[str, Tensor]) -> str:
    return Artifact(on_cpu(state)).fingerprint()
