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
from unlearn.datasets import Dataset, Samples, load
from unlearn.models import ModelFactory
from unlearn.problem import Precomputed, Problem, StateDict
from unlearn.proxy import proxy_snapshots, training_work
from unlearn.pruning import prune
from unlearn.requests import Partition, resolve
from unlearn.seeds import derive_seed
from unlearn.selection import el2n
from unlearn.stopwatch import Phase, Stopwatch, Work
from unlearn.training import train_from_scratch

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Material:
    """A definition's data, loaded, and its forget request, resolved.

    Attributes:
        search, report: the two halves of the test data.
    """

    definition: Definition
    dataset: Dataset
    partition: Partition
    factory: ModelFactory
    search: Samples
    report: Samples

    @classmethod
    def load(cls, definition: Definition) -> "Material":
        """Read what the definition names.

        Raises:
            InputError: the data, the model or the request is not usable.
        """
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
        return cls(
            definition,
            dataset,
            partition,
            ModelFactory.for_data(
                definition.model, dataset.train, len(dataset.classes), _path(definition.model_dir)
            ),
            dataset.test.take(halves.search),
            dataset.test.take(halves.report),
        )

    def describe(self) -> str:
        """The data and the request in one line."""
        train, test = self.dataset.train, self.dataset.test
        return (
            f"{len(train)} training and {len(test)} test images of {len(self.dataset.classes)}"
            f" classes; {len(self.partition.forget)} training images are to be forgotten"
        )

    def identity(self) -> dict[str, object]:
        """What two openings of the study must agree on: its definition, and what it leads to."""
        source = self.factory.source_fingerprint()
        return {
            **self.definition.identity(),
            **({} if source is None else {"model.sha256": source}),
            "data.sha256": self.dataset.fingerprint(),
            "request.sha256": Dataset(
                Samples(self.partition.forget, self.partition.forget),
                Samples(self.partition.retain, self.partition.retain),
                classes=(),
            ).fingerprint(),
        }

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
            seed=derive_seed(self.definition.seed, "evaluation"),
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
) -> Prepared:
    """Make, or read from the workspace, what a study's trials share; the caller holds its lock.

    Args:
        test: the half of the test data to score on.

    Raises:
        InputError: the workspace cannot be read or written.
    """
    builder = _Builder(material, workspace, device, announce)
    original = builder.original()
    problem = material.problem(original, device)
    sets = material.evaluation_sets(problem, test)
    attack = material.definition.objectives.attack
    return Prepared(
        material,
        test,
        original,
        evaluate(problem.original, sets, attack),
        builder.reference(problem, sets),
        builder.precomputed(problem) if material.definition.method["name"] == "conmu" else None,
        builder.fingerprint(),
    )


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
        """θ_o, trained on all of D_o."""

        def build() -> Artifact:
            self.announce("training the original model")
            model = train_from_scratch(
                self.material.factory,
                self.material.dataset.train.to(self.device),
                self.definition.training_recipe,
                derive_seed(self.definition.seed, "original"),
            )
            return Artifact(_on_cpu(model.state_dict()))

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
                    derive_seed(self.definition.seed, "retrained", run),
                )
            return Artifact(_on_cpu(model.state_dict()), {"seconds": stopwatch.seconds})

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
            proxy_training=[_phase(note) for note in proxies.notes["training"]],
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
        pruned = self.material.problem(_on_cpu(problem.original.state_dict()), self.device).original
        prune(pruned, pruning_rate)
        el2n(pruned, problem.forget)  # the first call on a device is slower than all others
        stopwatch = Stopwatch(self.device)
        with stopwatch.phase("score", Work(1, len(problem.forget) + len(problem.retain))):
            scores = {
                "forget": el2n(pruned, problem.forget),
                "retain": el2n(pruned, problem.retain),
            }
        return Artifact(_on_cpu(scores), {"scoring": asdict(stopwatch.phases["score"])})

    def _proxies(self, problem: Problem, longest: int) -> Artifact:
        self.announce(f"training the proxy for up to {longest} epochs")
        seed = derive_seed(self.definition.seed, "proxy")
        states, costs = proxy_snapshots(problem, longest, seed, Stopwatch(self.device))
        tensors = {f"{k}/{name}": t for k, state in enumerate(states) for name, t in state.items()}
        return Artifact(tensors, {"training": [asdict(cost) for cost in costs]})


def _on_cpu(state: StateDict) -> StateDict:
    # Copied, as safetensors refuses weights that share their memory.
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _phase(note: dict[str, object]) -> Phase:
    work, seconds = note["work"], note["seconds"]
    assert isinstance(work, dict)
    assert isinstance(seconds, float | int)
    return Phase(Work(**work), float(seconds))
