"""A folder that a search is run in: definition, storage and workspace."""

import shutil
import sqlite3
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage

import studies
from pareto import storages
from pareto.engines.settings import EngineSettings
from pareto.experiments.arms import Arm
from pareto.experiments.experiment import Results, run_experiment
from pareto.ledger import Ledger, StudyKind
from pareto.preparation.material import Material
from pareto.sampling.samplers import StudySampler
from pareto.sampling.space import distributions
from pareto.search_loop import search
from pareto.study import Study, open_study
from studies import Definition

NAME = "tiny"
# Small enough that everything is prepared in seconds, and a trial runs in milliseconds.
NOTES = ("original", "reference", "fingerprint", "unit_times", "calibrated_on")
"""Of a prepared study."""

TINY = f"""
name = "{NAME}"
seed = 3
model = "small-cnn"

[data]
name = "digits"
train_limit = 120
test_limit = 80
pixel_noise = 0.3

[request]
kind = "random"
fraction = 0.25

[recipe]
epochs = 3
learning_rate = 0.05

[method]
name = "conmu"
epochs = 2

[objectives]
retrainings = 3

[space]
delta = {{low = 0, high = 2}}
"""


def tiny(**changes: dict[str, Any]) -> Definition:
    """The tiny definition with changes to some of its sections."""
    content = tomllib.loads(TINY)
    for section, fields in changes.items():
        content[section] = {**content[section], **fields}
    return studies.validate(content, "the tiny definition")


def open_ledger(url: str, material: Material) -> Ledger:
    """The ledger of a definition's study, as a search opens it."""
    definition = material.definition
    return Ledger.open(
        storages.connect(url, writable=True),
        definition.model_dump(mode="json"),
        material.identity(),
        distributions(definition.ranges),
        StudySampler(definition.sampler, definition.seed, definition.starting_points()),
    )


@dataclass(frozen=True)
class Home:
    """Where a search runs, with the names that the program gives to its files."""

    folder: Path

    @classmethod
    def new(cls, folder: Path) -> "Home":
        """A folder with nothing but the definition."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tiny.toml").write_text(TINY)
        return cls(folder)

    def copy(self, folder: Path) -> "Home":
        """The same in another folder, to be changed there."""
        other = Home.new(folder)
        # Copied by SQLite, which knows of changes that are not in the file yet.
        with (
            closing(sqlite3.connect(self.file)) as source,
            closing(sqlite3.connect(other.file)) as target,
        ):
            source.backup(target)
        shutil.copytree(self.workspace, other.workspace)
        return other

    @property
    def file(self) -> Path:
        return self.folder / storages.DEFAULT_URL.removeprefix("sqlite:///")

    @property
    def url(self) -> str:
        return f"sqlite:///{self.file}"

    @property
    def workspace(self) -> Path:
        return self.folder / "pareto-search-workspace"

    def begin(self, definition: Definition, notes: Mapping[str, Any]) -> None:
        """Create the study of another definition, with what an earlier one was prepared with."""
        self.file.unlink()
        ledger = open_ledger(self.url, Material.load(definition))
        for key, value in notes.items():
            ledger.set_note(key, value)

    def notes(self) -> dict[str, Any]:
        """What the study was prepared with."""
        ledger = Ledger(storages.connect(self.url, writable=False), NAME)
        return {key: ledger.note(key) for key in NOTES}

    def search(self, budget: int, definition: Definition | None = None, **options: Any) -> Study:
        """Search here, in this process."""
        return search(
            definition or tiny(),
            budget,
            **{"storage": self.url, "workspace": self.workspace, "workers": 1, **options},
        )

    def experiment(
        self,
        kind: StudyKind,
        arms: Sequence[Arm],
        repeats: int,
        definition: Definition | None = None,
        **options: Any,
    ) -> Results:
        """Run an experiment here, in this process."""
        return run_experiment(
            definition or tiny(),
            kind,
            arms,
            repeats,
            **{
                "storage": self.url,
                "workspace": str(self.workspace),
                "settings": EngineSettings(device="cpu"),
                **options,
            },
        )

    def study(self) -> Study:
        return open_study(NAME, self.url)

    def files(self) -> set[str]:
        """What lies here; SQLite's own files come and go."""
        names = {file.name for file in self.folder.iterdir()}
        return names - {f"{self.file.name}-wal", f"{self.file.name}-shm"}

    def trials(self, name: str = NAME) -> list[optuna.trial.FrozenTrial]:
        """The trials of a study as Optuna itself reads them."""
        # Without its check of the tables, which takes ten times as long as to read them.
        storage = RDBStorage(self.url, skip_compatibility_check=True)
        return optuna.load_study(study_name=name, storage=storage).get_trials()

    def states(self, name: str = NAME) -> list[str]:
        return [trial.state.name for trial in self.trials(name)]

    # Read by SQLite itself, which is quick enough to be asked often.

    def complete(self) -> int:
        """How many trials are complete, of whatever study."""
        return self._count("from trials where state = 'COMPLETE'")

    def running(self) -> int:
        """How many trials run and are signed by their drivers."""
        signed = "(select trial_id from trial_user_attributes where key = 'lease')"
        return self._count(f"from trials where state = 'RUNNING' and trial_id in {signed}")

    def _count(self, rest: str) -> int:
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as connection:
            (count,) = connection.execute(f"select count(*) {rest}").fetchone()
        return int(count)
