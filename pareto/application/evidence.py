"""What the evidence of a request that was carried out says, part by part."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from objectives.evaluation import Evaluation
from pareto.application.plain_words import ExpectedAccuracy, plain_words
from pareto.engines.devices import environment
from pareto.preparation.earlier import FORMAT, WEIGHTS
from pareto.preparation.material import Material
from pareto.results.averages import SIX_FIGURES
from pareto.study import Study
from pareto.workspace.artifacts import Artifact
from unlearn.checkpoint import on_cpu
from unlearn.files import file_sha256
from unlearn.problem import Problem, Unlearned
from unlearn.pruning import sparsity
from unlearn.stopwatch import Stopwatch
from unlearn.training import predict


@dataclass(frozen=True)
class Origin:
    """Where a configuration comes from.

    Attributes:
        study, trial: the trial that found it, as its study says; None if that is not known.
        found: the figures of that trial in its study.
        validation: what came of running that trial again, if that was done.
        file: the file that it was read from, if no study knows of it.
    """

    study: str | None = None
    trial: int | None = None
    found: Mapping[str, float] | None = None
    validation: Mapping[str, Any] | None = None
    file: str | None = None

    @classmethod
    def of(cls, study: Study, number: int) -> "Origin":
        """A complete trial of a study.

        Raises:
            InputError: there is none of that number.
        """
        metrics = study.complete_trial(number).metrics
        figures = {name: metrics[name] for name in SIX_FIGURES}
        return cls(study.name, number, figures, study.validation(number))

    @property
    def expected(self) -> ExpectedAccuracy | None:
        """What it led to, if that is known."""
        if self.validation is not None:
            sd = (self.validation["sd"] or {}).get("ta")
            return ExpectedAccuracy(self.validation["mean"]["ta"], sd, validated=True)
        if self.found is not None:
            return ExpectedAccuracy(self.found["ta"], None, validated=False)
        return None


@dataclass(frozen=True)
class Given:
    """A file, as it was given.

    Attributes:
        name: without its folder.
        sha256: of its bytes.
    """

    name: str
    sha256: str

    @classmethod
    def of(cls, file: Path) -> "Given":
        """
        Raises:
            InputError: it cannot be read.
        """
        # A name that is no UTF-8 could not be written.
        return cls(file.name.encode(errors="backslashreplace").decode(), file_sha256(file))


@dataclass(frozen=True)
class Application:
    """A request that was carried out, and all that is known of it.

    Attributes:
        index_file, weights_file: which samples had to go, and θ_o; no file of θ_o if the program
            has trained it.
        problem: with θ_o.
        method, config, seed: what was done.
        before, after: the figures of θ_o and θ_u on all of the test data.
        origin: of the configuration.
        changed: whether the study was made on other data, or with another model.
    """

    material: Material
    index_file: Given
    weights_file: Given | None
    problem: Problem
    method: str
    config: Any
    seed: int
    unlearned: Unlearned
    stopwatch: Stopwatch
    before: Evaluation
    after: Evaluation
    origin: Origin
    changed: bool

    @property
    def network(self) -> dict[str, Tensor]:
        """The weights of θ_u, as those of the plain network."""
        return self.material.factory.network(self.unlearned.model).state_dict()


def evidence_of(done: Application, weights: Path) -> dict[str, Any]:
    """The content of `evidence.json`.

    Args:
        weights: the file that θ_u was written to.
    """
    earlier = done.material.earlier
    return {
        "format": FORMAT,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "asked": _asked(done),
        "done": _done(done),
        "weights": _weights(done, weights),
        "cost": {
            "seconds": done.stopwatch.seconds,
            "phases": {name: asdict(phase) for name, phase in done.stopwatch.phases.items()},
        },
        "figures": {
            "attack": done.material.definition.objectives.attack,
            "before": _figures(done, done.before, done.problem.original),
            "after": _figures(done, done.after, done.unlearned.model),
        },
        "study": asdict(done.origin),
        "meaning": plain_words(
            done.before.as_dict(),
            done.after.as_dict(),
            retrained=done.method == "retrain",
            given=done.weights_file is not None,
            expected=done.origin.expected,
            test_samples=len(done.material.dataset.test),
            changed=done.changed,
            earlier=earlier,
            forgotten=len(done.problem.forget),
            selected=done.unlearned.sizes.get("forget"),
            flags=done.unlearned.flags,
        ),
        "chain": list(earlier.links),
        "earlier_positions": list(earlier.positions),
        "earlier_files": None if earlier.files is None else list(earlier.files),
        "data_changed": earlier.data_changed,
    }


def _asked(done: Application) -> dict[str, Any]:
    dataset, partition = done.material.dataset, done.material.partition
    positions, files = partition.forget.tolist(), dataset.files
    return {
        "index_file": done.index_file.name,
        "index_file_sha256": done.index_file.sha256,
        "forgotten": len(positions),
        "retained": len(partition.retain),
        "training_samples": len(dataset.train),
        "test_samples": len(dataset.test),
        "data": done.material.definition.data.name,
        "data_sha256": dataset.fingerprint,
        "positions": positions,
        "files": files and [files[position] for position in positions],
    }


def _done(done: Application) -> dict[str, Any]:
    return {
        "method": done.method,
        "parameters": asdict(done.config),
        "recipe": asdict(done.problem.recipe),
        "seed": done.seed,
        "study_seed": done.material.definition.seed,
        "kept": done.unlearned.sizes,
        "flags": list(done.unlearned.flags),
        **environment(done.problem.device),
    }


def _weights(done: Application, weights: Path) -> dict[str, Any]:
    factory, given = done.material.factory, done.weights_file
    return {
        "model": done.material.definition.model,
        "model_files_sha256": factory.source_files(),
        "normalisation": {"mean": list(factory.mean), "std": list(factory.std)},
        "before": {
            "file": None if given is None else given.name,
            "file_sha256": None if given is None else given.sha256,
            "tensors_sha256": tensors_sha256(factory.network(done.problem.original).state_dict()),
        },
        "after": {
            "file": WEIGHTS,
            "file_sha256": file_sha256(weights),
            "tensors_sha256": tensors_sha256(done.network),
            "zeros": sparsity(done.unlearned.model),
        },
    }


def _figures(done: Application, figures: Evaluation, model: nn.Module) -> dict[str, float]:
    """With the accuracy, in percent, on what earlier requests have forgotten, if there were any."""
    earlier: Sequence[int] = done.material.earlier.positions
    if not earlier:
        return figures.as_dict()
    samples = done.material.dataset.train.take(torch.tensor(earlier)).to(done.problem.device)
    right = predict(model, samples.images).argmax(dim=1) == samples.labels
    return {**figures.as_dict(), "fa_of_earlier_requests": 100.0 * float(right.double().mean())}


def tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """Of weights, in whatever file they lie."""
    return Artifact(on_cpu(state)).fingerprint()
