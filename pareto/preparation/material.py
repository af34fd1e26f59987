"""What a definition speaks of: its data, loaded, and its forget request, resolved."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from objectives.evaluation import EvaluationSets, split_test
from pareto.preparation.earlier import Earlier
from pareto.workspace.artifacts import Artifact
from studies import Definition
from unlearn.checkpoint import fitted, load_checkpoint
from unlearn.datasets import Dataset, Samples, load
from unlearn.models import ModelFactory, Normalisation
from unlearn.problem import Problem, StateDict
from unlearn.requests import Partition, resolve
from unlearn.seeds import derive_seed

FEW = 30
"""Samples to be forgotten, of which shares say little."""


@dataclass(frozen=True)
class Material:
    """A definition's data, loaded, and its forget request, resolved.

    Attributes:
        search, report: the two halves of the test data.
        normalisation: what the definition, or the file of its θ_o, gives instead of the statistics
            of the training data.
        original: θ_o, if the definition gives it.
        earlier: the requests that θ_o has been through; what they named is neither forgotten again
            nor retained.
        repeat: which draw of everything random this is, the data and their halves excepted; None
            is the study's own.
        fresh_members: whether the membership attack is fitted on other members than in the search.
    """

    definition: Definition
    dataset: Dataset
    partition: Partition
    factory: ModelFactory
    search: Samples
    report: Samples
    normalisation: Normalisation | None = None
    original: StateDict | None = None
    earlier: Earlier = field(default_factory=Earlier)
    repeat: int | None = None
    fresh_members: bool = False

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
        earlier = Earlier()
        if file is not None:
            earlier = Earlier.of(file.resolve()).in_data(dataset)
        partition = resolve(definition.forget_request, dataset, seed, earlier.positions)
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
            earlier,
        )

    def repeated(self, repeat: int) -> "Material":
        """The same data with a seed of its own: another draw of the request (unless it lists its
        samples), another θ_o (unless it is given) and other retrained models."""
        again = replace(self, repeat=repeat)
        partition = resolve(
            self.definition.forget_request, self.dataset, again.seed, self.earlier.positions
        )
        return replace(again, partition=partition)

    @property
    def seed(self) -> int:
        """Of all that is trained and drawn."""
        if self.repeat is None:
            return self.definition.seed
        return derive_seed(self.definition.seed, "repeat", self.repeat)

    @property
    def models_to_train(self) -> int:
        """How many there are before the first trial: the retrained ones, and θ_o if not given."""
        return self.definition.objectives.retrainings + (self.original is None)

    def describe(self) -> str:
        """The data and the request in one line."""
        train, test = self.dataset.train, self.dataset.test
        told = (
            f"{len(train)} training and {len(test)} test images of {len(self.dataset.classes)}"
            f" classes; {len(self.partition.forget)} training images are to be forgotten"
        )
        if len(self.partition.forget) < FEW:
            told += (
                f" (so few that FA and MIA go in steps of {100 / len(self.partition.forget):.3g} %)"
            )
        if self.partition.forgotten_class is not None:
            told += f", of class {self.dataset.classes[self.partition.forgotten_class]!r}"
        if self.earlier.positions:
            told += f"; {len(self.earlier.positions)} were forgotten before and are left out"
        if self.earlier.data_changed:
            told += "; the data have changed since an earlier request, whose samples are taken"
            told += " to be gone"
        return told

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
            "data.sha256": self.dataset.fingerprint,
            "request.sha256": self.partition.fingerprint,
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
        """What models are scored on, with these test data."""
        return EvaluationSets.build(
            problem.forget,
            problem.retain,
            test.to(problem.device),
            forgotten_class=self.partition.forgotten_class,
            seed=derive_seed(self.seed, "evaluation"),
            fresh_members=self.fresh_members,
        )


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)
