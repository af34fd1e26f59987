"""What every trial of a study shares: data, θ_o, retrained reference, scores, proxies."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from objectives.evaluation import Evaluation, EvaluationSets, evaluate, split_test
from objectives.reference import Reference
from pareto.workspace import Artifact, Workspace
from studies import Definition
from unlearn.checkpoint import fitted, load_checkpoint, on_cpu
from unlearn.datasets import Dataset, Samples, load
from unlearn.errors import InputError
from unlearn.models import ModelFactory, Normalisation
from unlearn.problem import Precomputed, Problem, StateDict
from unlearn.proxy import proxy_snapshots, training_work
from unlearn.pruning import prune
from unlearn.requests import Partition, resolve
from unlearn.seeds import derive_seed
from unlearn.selection import el2n
from unlearn.stopwatch import Phase, Stopwatch, Work
from unlearn.training import train_from_scratch

Announce = Callable[[str], None]

HARDLY = 0.1
"""How much better than guessing a given θ_o has to be on its own training data: a share of what
there is to be better by."""


@dataclass(frozen=True)
class Material:
    """A definition's data, loaded, and its forget request, resolved.

    Attributes:
        search, report: the two halves of the test data.
        normalisation: what the definition, or the file of its θ_o, gives instead of the statistics
            of the training data.
        original: θ_o, if the definition gives it.
        repeat: which draw of everything random this is, the data and their halves excepted; None
            is the study's own.
    """

    definition: Definition
    dataset: Dataset
    partition: Partition
    factory: ModelFactory
    search: Samples
    report: Samples
    normalisation: Normalisation | None = None
    original: StateDict | None = None
    repeat: int | None = None

    @classmethod
    def load(cls, definition: Definition) -> "Material":
        """Read what the definition names.

        Raises:
            InputError: the data, the model, its weights or the request is not usable.
        """
        file = _path(definition.original)
        checkpoint = None if file is None else load_checkpoint(file)
        section, seed = definition.data, derive_seed(definition.seed, "data")
        dataset = load(
            section.name,
            seed=seed,
            folder=_path(section.dir),
            train_limit=section.train_limit,
            test_limit=section.test_limit,
            pixel_noise=section.pixel_noise,
        )
        partition = resolve(definition.forget_request, dataset, seed)
        halves = split_test(dataset.test.labels, seed)
        normalisation = checkpoint.normalisation if checkpoint else None
        if definition.normalisation is not None:
            normalisation = Normalisation(**definition.normalisation.model_dump())
        factory = ModelFactory.for_data(
            definition.model,
            dataset.train,
            len(dataset.classes),
            _path(definition.model_dir),
            normalisation,
        )
        return cls(
            definition,
            dataset,
            partition,
            factory,
            dataset.test.take(halves.search),
            dataset.test.take(halves.report),
            normalisation,
            fitted(checkpoint, factory) if checkpoint else None,
        )

    def repeated(self, repeat: int) -> "Material":
        """The same data with a seed of its own: another draw of the request (unless it lists its
        samples), another θ_o (unless it is given) and other retrained models."""
        again = replace(self, repeat=repeat)
        partition = resolve(self.definition.forget_request, self.dataset, again.seed)
        return replace(again, partition=partition)

    @property
    def seed(self) -> int:
        """Of all that is trained and drawn."""
        if self.repeat is None:
            return self.definition.seed
        return derive_seed(self.definition.seed, "repeat", self.repeat)

    def describe(self) -> str:
        """The data and the request in one line."""
        train, test = self.dataset.train, self.dataset.test
        return (
            f"{len(train)} training and {len(test)} test images of {len(self.dataset.classes)}"
            f" classes; {len(self.partition.forget)} training images are to be forgotten"
        )

    def identity(self) -> dict[str, object]:
        """What two openings of the study must agree on: its definition, and what it leads to."""
        source, weights = self.factory.source_fingerprint(), self._weights_fingerprint()
        normalisation = {} if self.normalisation is None else self.normalisation._asdict()
        return {
            **self.definition.identity(),
            **{f"normalisation.{key}": list(values) for key, values in normalisation.items()},
            **({} if self.repeat is None else {"repeat": self.repeat}),
            **({} if source is None else {"model.sha256": source}),
            **({} if weights is None else {"original.sha256": weights}),
            "data.sha256": self.dataset.fingerprint(),
            "request.sha256": Dataset(
                Samples(self.partition.forget, self.partition.forget),
                Samples(self.partition.retain, self.partition.retain),
                classes=(),
            ).fingerprint(),
        }

    def _weights_fingerprint(self) -> str | None:
        """Of a given θ_o without its normalisation: machines differ in the last bit of statistics
        of the data."""
        if self.original is None:
            return None
        model = self.factory(0, torch.device("cpu"))
        model.load_state_dict(self.original)
        return Artifact(self.factory.network(model).state_dict()).fingerprint()

    def problem(self, original: StateDict, device: torch.device) -> Problem:
        """The request as a method takes it."""
        model = self.factory(0, device)
        model.load_state_dict(original)
        return Problem(
            model.eval(),
            self.factory,
            self.definition.training_recipe,
            self.dataset.train.take(self.partition.forget).to(device),
            self.dataset.train.take(self.partition.retain).to(device),
            device,
        )

    def evaluation_sets(self, problem: Problem, test: Samples) -> EvaluationSets:
        """What models are scored on, with either half of the test data."""
        return EvaluationSets.build(
            problem.forget,
            problem.retain,
            test.to(problem.device),
            forgotten_class=self.partition.forgotten_class,
            whole_class=self.partition.forgets_whole_class(self.dataset.train.labels),
            seed=derive_seed(self.seed, "evaluation"),
        )


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
    device: torch.device,
    announce: Announce,
    *,
    share_work: bool = True,
) -> Prepared:
    """Make, or read from the workspace, what a study's trials share; the caller holds its lock.

    Args:
        test: the half of the test data to score on.
        share_work: whether trials shall share scores and proxies.

    Raises:
        InputError: the workspace cannot be read or written.
    """
    builder = _Builder(material, workspace, device, announce)
    original = builder.original()
    problem = material.problem(original, device)
    sets = material.evaluation_sets(problem, test)
    return Prepared(
        material,
        test,
        original,
        original_figures(material, problem, sets, announce),
        builder.reference(problem, sets),
        builder.precomputed(problem) if share_work and _has_proxies(material) else None,
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
        return _Builder(material, workspace, device, announce).original()


def original_figures(
    material: Material, problem: Problem, sets: EvaluationSets, announce: Announce
) -> Evaluation:
    """Of θ_o, with a warning if it was given and does not seem to belong to the data.

    Raises:
        InputError: θ_o was given and has no finite answers.
    """
    attack, file = material.definition.objectives.attack, material.definition.original
    try:
        figures = evaluate(problem.original, sets, attack)
    except FloatingPointError:
        if file is None:
            raise
        raise InputError(
            f"the model of {file} gives answers that are not finite",
            "check the normalisation, and the weights",
        ) from None
    if file is not None:
        labels = torch.cat([sets.forget.labels, sets.retain.labels])
        right = (figures.fa * len(sets.forget) + figures.ra * len(sets.retain)) / len(labels)
        chance = 100.0 * float(labels.bincount().max()) / len(labels)
        if right < chance + HARDLY * (100.0 - chance):
            announce(
                f"the model of {file} is right on {right:.1f} % of its training data, where"
                f" guessing is on {chance:.1f} %: check the normalisation, the order of the"
                " classes, and that these are the data"
            )
    return figures


@dataclass(frozen=True)
class _Builder:
    material: Material
    workspace: Workspace
    device: torch.device
    announce: Announce
    fingerprints: dict[str, str] = field(default_factory=dict)

    @property
    def definition(self) -> Definition:
        return self.material.definition

    def original(self) -> StateDict:
        """θ_o: as it is given, or else trained on all of D_o."""
        given = self.material.original
        if given is not None:
            self.fingerprints["original"] = Artifact(given).fingerprint()
            return given

        def build() -> Artifact:
            self.announce("training the original model")
            model = train_from_scratch(
                self.material.factory,
                self.material.dataset.train.to(self.device),
                self.definition.training_recipe,
                derive_seed(self.material.seed, "original"),
            )
            return Artifact(on_cpu(model.state_dict()))

        return dict(self._get("original", build).tensors)

    def reference(self, problem: Problem, sets: EvaluationSets) -> Reference:
        """R models retrained on D_r with θ_o's recipe and seeds of their own."""
        section = self.definition.objectives
        models = [self._retrained(problem, run) for run in range(section.retrainings)]
        runs: list[Evaluation] = []
        for artifact in models:
            model = problem.build(0, problem.device)
            model.load_state_dict(artifact.tensors)
            runs.append(evaluate(model.eval(), sets, section.attack))
        seconds = sorted(float(artifact.notes["seconds"]) for artifact in models)
        return Reference(tuple(runs), seconds[len(seconds) // 2])

    def _retrained(self, problem: Problem, run: int) -> Artifact:
        def build() -> Artifact:
            total = self.definition.objectives.retrainings
            self.announce(f"retraining without the forgotten samples, {run + 1} of {total}")
            stopwatch = Stopwatch(self.device)
            work = training_work(problem, problem.recipe.epochs)
            with stopwatch.phase("train", work):
                model = train_from_scratch(
                    problem.build,
                    problem.retain,
                    problem.recipe,
                    derive_seed(self.material.seed, "retrained", run),
                )
            return Artifact(on_cpu(model.state_dict()), {"seconds": stopwatch.seconds})

        return self._get(f"retrained-{run}", build)

    def precomputed(self, problem: Problem) -> Precomputed:
        """EL2N scores, and the proxy after every number of epochs that the search may ask for."""
        config = self.definition.config({})
        longest = self.definition.longest_delta()
        scores = self._get(
            f"scores-{config.pruning_rate}", lambda: self._scores(problem, config.pruning_rate)
        )
        proxies = self._get(f"proxies-{longest}", lambda: self._proxies(problem, longest))
        states: list[StateDict] = [{} for _ in range(longest + 1)]
        for key, tensor in proxies.tensors.items():
            epoch, name = key.split("/", 1)
            states[int(epoch)][name] = tensor
        return Precomputed(
            pruning_rate=config.pruning_rate,
            forget_scores=scores.tensors["forget"],
            retain_scores=scores.tensors["retain"],
            scoring=_phase(scores.notes["scoring"]),
            proxies=states,
            # What work is counted is not for the program to say that once made them.
            proxy_training=[
                replace(_phase(note), work=training_work(problem, epochs))
                for epochs, note in enumerate(proxies.notes["training"])
            ],
        )

    def fingerprint(self) -> str:
        """Of all artifacts that were asked for so far; not of the times that they took."""
        listed = "\n".join(f"{name} {of}" for name, of in sorted(self.fingerprints.items()))
        return hashlib.sha256(listed.encode()).hexdigest()[:16]

    def _get(self, name: str, build: Callable[[], Artifact]) -> Artifact:
        artifact = self.workspace.get(name, build)
        self.fingerprints[name] = artifact.fingerprint()
        return artifact

    def _scores(self, problem: Problem, pruning_rate: float) -> Artifact:
        self.announce("scoring the samples")
        pruned = self.material.problem(on_cpu(problem.original.state_dict()), self.device).original
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
        states, costs = proxy_snapshots(problem, longest, seed, Stopwatch(self.device))
        tensors = {f"{k}/{name}": t for k, state in enumerate(states) for name, t in state.items()}
        return Artifact(tensors, {"training": [asdict(cost) for cost in costs]})


def _has_proxies(material: Material) -> bool:
    return bool(material.definition.method["name"] == "conmu")


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _phase(note: dict[str, object]) -> Phase:
    work, seconds = note["work"], note["seconds"]
    assert isinstance(work, dict)
    assert isinstance(seconds, float | int)
    return Phase(Work(**work), float(seconds))
