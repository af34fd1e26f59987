"""The models that are trained before a study's first trial: θ_o, and R that never saw D_f.

None of them needs another, so they are trained side by side, by as many workers as there are.
"""

import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch

from pareto.engines import INTERRUPTED, Announce, Workers
from pareto.engines.devices import use_one_thread
from pareto.engines.local import REMEDY
from pareto.errors import EngineError
from pareto.preparation.material import Material
from pareto.trials.outcome import Failure
from pareto.workspace.artifacts import Artifact, Workspace
from unlearn.checkpoint import not_finite, on_cpu
from unlearn.errors import InputError, in_one_line
from unlearn.models import ModelFactory
from unlearn.seeds import derive_seed
from unlearn.training import train_from_scratch

MAX_DEATHS = 3


@dataclass(frozen=True)
class Training:
    """One model to train.

    Attributes:
        run: which of the retrainings, from 0; None is θ_o.
    """

    run: int | None

    @property
    def name(self) -> str:
        """Of its artifact."""
        return "original" if self.run is None else f"retrained-{self.run}"

    def __str__(self) -> str:
        return "the original model" if self.run is None else f"the retrained model {self.run + 1}"


Trained = Artifact | Exception


def trained(
    material: Material,
    trainings: Iterable[Training],
    workspace: Workspace,
    workers: Workers,
    announce: Announce,
) -> dict[Training, Artifact]:
    """The models, from the workspace; what it lacks is trained, and kept there as soon as it is
    done.

    Raises:
        InputError: the workspace cannot be read or written, or the user's own model cannot be
            trained.
        EngineError: workers die of it, or lack memory.
    """
    models: dict[Training, Artifact] = {}
    missing: deque[Training] = deque()
    for training in trainings:
        model = workspace.find(training.name)
        if model is None:
            missing.append(training)
        else:
            models[training] = model
    if missing:
        source = _Missing(material, missing, models, workspace, announce)
        workers.run(source, partial(_make_trainer, material))
    return models


class _Missing:
    """A source of models to train."""

    def __init__(
        self,
        material: Material,
        missing: deque[Training],
        models: dict[Training, Artifact],
        workspace: Workspace,
        announce: Announce,
    ) -> None:
        """
        Args:
            models: gets those that are trained.
        """
        self._material = material
        self._retrainings = material.definition.objectives.retrainings
        self._missing = missing
        self._models = models
        self._workspace = workspace
        self._announce = announce
        self._out = 0
        self._deaths = 0

    @property
    def finished(self) -> bool:
        return not self._missing and not self._out

    def next(self) -> Training | None:
        if not self._missing:
            return None
        training = self._missing.popleft()
        self._out += 1
        if training.run is None:
            self._announce("training the original model")
        else:
            which = f"{training.run + 1} of {self._retrainings}"
            self._announce(f"retraining without the forgotten samples, {which}")
        return training

    def put_back(self, training: Training) -> None:
        self._out -= 1
        self._missing.appendleft(training)

    def report(self, training: Training, result: Trained | Failure) -> None:
        self._out -= 1
        if isinstance(result, Artifact):
            self._models[training] = result
            self._workspace.put(training.name, result)
        elif isinstance(result, Exception):
            raise result
        else:
            self._missing.appendleft(training)
            self._deaths += result != INTERRUPTED
            if self._deaths == MAX_DEATHS:
                raise EngineError(f"training failed {MAX_DEATHS} times: {result.reason}", REMEDY)


def _make_trainer(material: Material, device: torch.device) -> Callable[[Training], Trained]:
    use_one_thread()

    def run(training: Training) -> Trained:
        try:
            return _train(material, training, device)
        except Exception as error:
            failure = _told(error, material.factory)
            failure.add_note(traceback.format_exc())  # which no exception takes to another process
            return failure
        finally:
            if device.type == "cuda":
                torch.cuda.empty_cache()  # what it took is for other processes now

    return run


def diverged(training: Training) -> InputError:
    """What is wrong with a model whose answers are not finite."""
    return InputError(
        f"{training} gives answers that are not finite after its training",
        "change the definition's recipe, most likely to a lower learning_rate",
    )


def _told(error: Exception, factory: ModelFactory) -> Exception:
    """What a driver is sent of an error: it may not know the classes of a user's code."""
    if isinstance(error, torch.OutOfMemoryError):
        return EngineError(f"training failed: {error}", REMEDY)
    if isinstance(error, InputError) or factory.source_fingerprint() is None:
        return error
    return InputError(
        f"training {factory.name} failed: {in_one_line(error)}", "correct it, or use another model"
    )


def _train(material: Material, training: Training, device: torch.device) -> Artifact:
    samples = material.dataset.train
    path: tuple[str | int, ...] = ("original",)
    if training.run is not None:
        samples = samples.take(material.partition.retain)
        path = ("retrained", training.run)
    model = train_from_scratch(
        material.factory,
        samples.to(device),
        material.definition.training_recipe,
        derive_seed(material.seed, *path),
    )
    weights = on_cpu(model.state_dict())
    if not_finite(weights, material.factory(0, torch.device("cpu")).state_dict()):
        raise diverged(training)  # before others are trained in vain
    return Artifact(weights)
