"""What every trial of a study shares: data, θ_o, retrained reference, scores, proxies."""

import copy
import hashlib
import math
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import torch
from pydantic import TypeAdapter

from objectives.evaluation import Evaluation, EvaluationSets, evaluate
from objectives.reference import Reference
from pareto.engines import Announce, SerialEngine, Workers
from pareto.engines.devices import device_model, environment
from pareto.preparation.material import Material
from pareto.preparation.measurements import EPOCH_OF_RETRAINING, remembered
from pareto.preparation.trainings import Training, diverged, trained
from pareto.workspace.artifacts import Artifact, Workspace
from studies import Definition
from unlearn.checkpoint import on_cpu
from unlearn.datasets import Samples
from unlearn.errors import InputError
from unlearn.problem import Precomputed, Problem, StateDict
from unlearn.proxy import proxy_snapshots, training_work
from unlearn.pruning import prune
from unlearn.recording import WARM_UP, replays
from unlearn.seeds import derive_seed
from unlearn.selection import el2n
from unlearn.stopwatch import Phase, Stopwatch, Work
from unlearn.training import train_from_scratch

WARM_UP_SAMPLES = {"cpu": 256, "cuda": 8192}
"""By the kind of device: on a GPU so many that their steps are recorded, as those of all are."""

TIMED_TRAININGS, TIMED_SECONDS = 7, 1.0
"""How often the beginning of a retraining is timed, and for how long at most; once, at least."""

HARDLY = 0.1
"""How much better than guessing θ_o has to be on its own training data: a share of what there is to
be better by."""


@dataclass(frozen=True)
class Prepared:
    """All that a worker needs to run any trial of a study; its tensors lie on the CPU.

    Attributes:
        test: the half of the test data that everything here is scored on.
        fingerprint: of all tensors that trials depend on: the same iff these are, bit for bit,
            wherever they were made.
    """

    material: Material
    test: Samples
    original: StateDict
    original_figures: Evaluation
    reference: Reference
    precomputed: Precomputed | None
    fingerprint: str

    def with_reference(self, stored: Mapping[str, object]) -> "Prepared":
        """The same, measured against the reference that the study was begun with."""
        return replace(self, reference=Reference.from_dict(stored))


def open_workspace(material: Material, place: str, announce: Announce) -> Workspace:
    """A study's workspace; studies that differ only in what they search share one.

    Raises:
        InputError: nothing can be kept at that place.
    """
    shared = ("name", "method.", "space.", "objectives.runtime")
    depends_on = {k: v for k, v in material.identity().items() if not k.startswith(shared)}
    return Workspace(place, depends_on, announce)


def prepare(
    material: Material,
    test: Samples,
    workspace: Workspace,
    workers: Workers,
    announce: Announce,
    *,
    share_work: bool = True,
    price_anew: bool = False,
) -> Prepared:
    """Make, or read from the workspace, what a study's trials share; the caller holds its lock.

    Args:
        test: the half of the test data to score on.
        workers: what is trained is trained side by side by all of them.
        share_work: whether trials shall share scores and proxies.
        price_anew: whether to time a retraining now, even if this machine has done so before: where
            stopwatches are compared, they have to run at the same time of the day.

    Raises:
        InputError: the workspace cannot be read or written.
        EngineError: workers die, or lack memory.
    """
    device, retrainings = workers.device, material.definition.objectives.retrainings
    is_taken = material.definition.unlearning.takes_precomputed
    builder = _Builder(material, workspace, device, announce)
    runs = [Training(run) for run in range(retrainings)]
    if material.original is None:
        builder.train([Training(None), *runs], workers)
    weights = builder.original()
    problem = material.problem(weights, device)
    sets = material.evaluation_sets(problem, test)
    figures = original_figures(material, problem, sets, announce)
    if material.original is not None:  # and has just passed for one
        builder.train(runs, workers)
    return Prepared(
        material,
        test,
        weights,
        figures,
        builder.reference(problem, sets, price_anew),
        builder.precomputed(problem) if share_work and is_taken else None,
        builder.fingerprint(),
    )


def original_weights(
    material: Material, place: str, device: torch.device, announce: Announce
) -> StateDict:
    """θ_o alone: as it is given, or from the workspace, or trained.

    Raises:
        InputError: the workspace cannot be read or written.
    """
    if material.original is not None:
        return material.original
    workspace = open_workspace(material, place, announce)
    with workspace.lock():
        builder = _Builder(material, workspace, device, announce)
        builder.train([Training(None)], SerialEngine(device))
        return builder.original()


def original_figures(
    material: Material, problem: Problem, sets: EvaluationSets, announce: Announce
) -> Evaluation:
    """Of θ_o, with a warning if it is hardly better than guessing on its own training data: given,
    it does not seem to belong to them, and made here, it has learnt too little to forget.

    Raises:
        InputError: θ_o has no finite answers.
    """
    attack, file = material.definition.objectives.attack, material.definition.original
    try:
        figures = evaluate(problem.original, sets, attack)
    except FloatingPointError:
        if file is None:
            raise diverged(Training(None)) from None
        raise InputError(
            f"the model of {file} gives answers that are not finite",
            "check the normalisation, and the weights",
        ) from None
    labels = torch.cat([sets.forget.labels, sets.retain.labels])
    right = (figures.fa * len(sets.forget) + figures.ra * len(sets.retain)) / len(labels)
    chance = 100.0 * float(labels.bincount().max()) / len(labels)
    model = "the original model" if file is None else f"the model of {file}"
    if right < chance + HARDLY * (100.0 - chance):
        remedy = "the normalisation, the order of the classes, and that these are the data"
        if file is None:
            remedy = "the recipe's epochs and learning_rate, and the model"
        announce(
            f"{model} is right on {right:.1f} % of its training data, where guessing is on"
            f" {chance:.1f} %: check {remedy}"
        )
    elif file is not None:
        # Of all classes, as its makers know it.
        ta = figures.ta if figures.ta_all_classes is None else figures.ta_all_classes
        announce(f"{model} is right on {ta:.2f} % of the test data here")
    return figures


@dataclass(frozen=True)
class _Builder:
    material: Material
    workspace: Workspace
    device: torch.device
    announce: Announce
    models: dict[Training, Artifact] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)

    @property
    def definition(self) -> Definition:
        return self.material.definition

    def train(self, trainings: Sequence[Training], workers: Workers) -> None:
        """Have these models at hand."""
        made = trained(self.material, trainings, self.workspace, workers, self.announce)
        self.models.update(made)
        self.fingerprints.update((one.name, model.fingerprint()) for one, model in made.items())

    def original(self) -> StateDict:
        """θ_o: as it is given, or else trained on all of D_o."""
        given = self.material.original
        if given is not None:
            self.fingerprints["original"] = Artifact(given).fingerprint()
            return given
        return dict(self.models[Training(None)].tensors)

    def reference(self, problem: Problem, sets: EvaluationSets, price_anew: bool) -> Reference:
        """R models retrained on D_r with θ_o's recipe and seeds of their own."""
        section = self.definition.objectives
        runs: list[Evaluation] = []
        for run in range(section.retrainings):
            model = problem.build(0, problem.device)
            model.load_state_dict(self.models[Training(run)].tensors)
            try:
                runs.append(evaluate(model.eval(), sets, section.attack))
            except FloatingPointError:
                raise diverged(Training(run)) from None
        cost = partial(_cost_of_retraining, problem)
        if price_anew:
            self.announce(EPOCH_OF_RETRAINING.is_made)
            return Reference(tuple(runs), cost())
        depends_on = {"workspace": self.workspace.key, **environment(self.device)}
        return Reference(
            tuple(runs), remembered(EPOCH_OF_RETRAINING, depends_on, cost, self.announce)
        )

    def precomputed(self, problem: Problem) -> Precomputed:
        """EL2N scores, and the proxy after every number of epochs that the search may ask for."""
        config = self.definition.config({})
        longest = self.definition.longest_delta()
        scores, scoring = self._get_timed(
            f"scores-{config.pruning_rate}", lambda: self._scores(problem, config.pruning_rate)
        )
        proxies, training = self._get_timed(
            f"proxies-{longest}", lambda: self._proxies(problem, longest)
        )
        states: list[StateDict] = [{} for _ in range(longest + 1)]
        for key, tensor in proxies.tensors.items():
            epoch, name = key.split("/", 1)
            states[int(epoch)][name] = tensor
        return Precomputed(
            pruning_rate=config.pruning_rate,
            forget_scores=scores.tensors["forget"],
            retain_scores=scores.tensors["retain"],
            scoring=_phase(scoring["scoring"]),
            proxies=states,
            # What work is counted is not for the program to say that once made them.
            proxy_training=[
                replace(_phase(note), work=training_work(problem, epochs))
                for epochs, note in enumerate(training["training"])
            ],
        )

    def fingerprint(self) -> str:
        """Of all artifacts that were asked for so far; not of the times that they took."""
        listed = "\n".join(f"{name} {of}" for name, of in sorted(self.fingerprints.items()))
        return hashlib.sha256(listed.encode()).hexdigest()[:16]

    def _get_timed(
        self, name: str, build: Callable[[], Artifact]
    ) -> tuple[Artifact, Mapping[str, Any]]:
        """An artifact, and notes of what it takes to make it on a device like this one."""

        def built() -> Artifact:
            made = build()
            return Artifact(made.tensors, {**made.notes, "device": self._device_model})

        artifact = self.workspace.get(name, built)
        self.fingerprints[name] = artifact.fingerprint()
        made_here = artifact.notes.get("device") == self._device_model
        if made_here or self.definition.objectives.runtime == "calibrated":
            return artifact, artifact.notes  # calibrated runtime asks for no seconds
        timed = f"{name}-{self._device_model}"
        return artifact, self.workspace.get(timed, lambda: Artifact(notes=build().notes)).notes

    @property
    def _device_model(self) -> str:
        """As part of a name."""
        return re.sub(r"\W+", "-", device_model(self.device))

    def _scores(self, problem: Problem, pruning_rate: float) -> Artifact:
        self.announce("scoring the samples")
        pruned = copy.deepcopy(problem.original)
        prune(pruned, pruning_rate)
        el2n(pruned, problem.forget)  # the first call on a device is slower than all others
        stopwatch = Stopwatch(self.device)
        with stopwatch.phase("score", Work(1, len(problem.forget) + len(problem.retain))):
            scores = {
                "forget": el2n(pruned, problem.forget),
                "retain": el2n(pruned, problem.retain),
            }
        return Artifact(on_cpu(scores), {"scoring": asdict(stopwatch.phases["score"])})

    def _proxies(self, problem: Problem, longest: int) -> Artifact:
        self.announce(f"training the proxy for up to {longest} epochs")
        seed = derive_seed(self.material.seed, "proxy")
        _warm_up(problem)
        states, costs = proxy_snapshots(problem, longest, seed)
        tensors = {f"{k}/{name}": t for k, state in enumerate(states) for name, t in state.items()}
        return Artifact(tensors, {"training": [asdict(cost) for cost in costs]})


def _cost_of_retraining(problem: Problem) -> float:
    """In seconds, with the device to itself: when models are trained side by side, a stopwatch
    tells of the others too."""
    _warm_up(problem)
    return seconds_of_retraining(problem, TIMED_TRAININGS)


def _warm_up(problem: Problem) -> None:
    """Train on a few samples: the first training of a process is slower than all others."""
    count = min(WARM_UP_SAMPLES[problem.device.type], len(problem.retain))
    few = problem.retain.take(torch.arange(count, device=problem.device))
    train_from_scratch(problem.build, few, problem.recipe, 0, epochs=1)


def seconds_of_retraining(problem: Problem, times: int) -> float:
    """The median of so many measurements, or of as many as `TIMED_SECONDS` allow."""
    estimates: list[float] = []
    began = time.perf_counter()
    while not estimates or (len(estimates) < times and time.perf_counter() - began < TIMED_SECONDS):
        estimates.append(_seconds_of_one(problem))
    return statistics.median(estimates)


def _seconds_of_one(problem: Problem) -> float:
    """What a retraining costs, told from its beginning: all epochs are like the last of these."""
    stopwatch = Stopwatch(problem.device)
    read = [stopwatch.now()]
    train_from_scratch(
        problem.build,
        problem.retain,
        problem.recipe,
        0,
        epochs=min(epochs_until_steady(problem), problem.recipe.epochs),
        after_epoch=lambda _epoch, _model: read.append(stopwatch.now()),
    )
    *_, before, last = read
    missing = problem.recipe.epochs - (len(read) - 1)
    return last - read[0] + missing * (last - before)


def epochs_until_steady(problem: Problem) -> int:
    """From which epoch of a training on, counted from 1, all take the same time: the second, or on
    a device that replays updates the first one that has nothing else to do."""
    usual = len(problem.retain) // problem.recipe.batch_size
    if not replays(problem.device) or not usual:
        return 2
    return 1 + math.ceil((WARM_UP + 1) / usual)


_phase = TypeAdapter(Phase).validate_python
