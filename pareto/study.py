"""A study as its reader sees it: trials, front, choice."""

from collections.abc import Mapping, Sequence
from typing import Any

from pareto import storages
from pareto.choice.pick import Pick, choose
from pareto.choice.requirements import parse_all
from pareto.commands import study_command
from pareto.front import DIRECTIONS, extremes, hypervolume, knee, non_dominated
from pareto.ledger import Ledger, StudyKind, Trial, study_kinds
from pareto.results.empty_selection import MARK, selects_nothing
from pareto.results.indicators import hypervolume_share
from pareto.urls import shown
from unlearn.errors import InputError

COMMANDS: dict[StudyKind, str] = {"comparison": "compare", "sweep": "sweep"}
"""Which command makes an experiment, and shows it."""


_PERCENTAGES = ("ta", "fa", "ra", "mia")
CONSTANTS = frozenset(
    {f"{model}_{name}" for model in ("original", "retrain") for name in _PERCENTAGES}
    | {"retrain_rte"}
)
"""Figures of a study as a whole that requirements may name beside those of a trial."""


def constants(original: Mapping[str, float], reference: Mapping[str, Any]) -> dict[str, float]:
    """Those of `CONSTANTS` that are known; see `Study.original` and `Study.reference`."""
    mean = reference.get("mean", {})
    return {
        **{f"original_{name}": original[name] for name in _PERCENTAGES if original},
        **{f"retrain_{name}": mean[name] for name in _PERCENTAGES if mean},
        **({"retrain_rte": reference["seconds"]} if reference else {}),
    }


class Study:
    """What a storage knows of one study. Reading never changes it."""

    def __init__(self, ledger: Ledger, url: str) -> None:
        self._ledger = ledger
        self.storage = url
        self.name = ledger.name
        self._trials: list[Trial] | None = None

    @property
    def definition(self) -> Mapping[str, Any]:
        """The definition as it was stored."""
        return self._note("definition")

    @property
    def identity(self) -> Mapping[str, Any]:
        """What decides its results, flat: dotted field -> value; see `Definition.identity`."""
        return self._note("identity")

    @property
    def reference(self) -> Mapping[str, Any]:
        """The retrained models: `mean` and `sd` of TA, FA, RA, MIA, `seconds`, `ceiling`, `runs`;
        empty until the study is prepared."""
        return self._note("reference")

    @property
    def original(self) -> Mapping[str, float]:
        """TA, FA, RA and MIA of θ_o, in percent; empty until the study is prepared."""
        return self._note("original")

    @property
    def calibrated_on(self) -> Mapping[str, Any]:
        """Where the runtime was calibrated: `host`, `device`, `versions`; empty if it was not."""
        return self._note("calibrated_on")

    def validation(self, number: int) -> Mapping[str, Any] | None:
        """What came of running a trial again, if that was done; see `pareto.choice.validation`."""
        note: Mapping[str, Any] | None = self._ledger.note(f"validation-{number}")
        return note

    def _note(self, key: str) -> Mapping[str, Any]:
        note: Mapping[str, Any] = self._ledger.note(key) or {}
        return note

    def trials(self) -> list[Trial]:
        """All trials by number, as they stood when this was first called."""
        if self._trials is None:
            self._trials = self._ledger.trials()
        return self._trials

    def complete(self) -> list[Trial]:
        """The complete trials by number."""
        return [trial for trial in self.trials() if trial.state == "complete"]

    def complete_trial(self, number: int) -> Trial:
        """A complete trial by its number.

        Raises:
            InputError: there is none.
        """
        trial = next((trial for trial in self.complete() if trial.number == number), None)
        if trial is None:
            raise InputError(
                f"the study {self.name!r} has no complete trial {number}",
                f"see `{study_command('show', self.name, self.storage)}` for the numbers",
            )
        return trial

    def values(self) -> list[tuple[float, float, float]]:
        """TA, FRM and RTE of the complete trials."""
        return [trial.values for trial in self.complete() if trial.values is not None]

    def front(self) -> list[Trial]:
        """The non-dominated trials, by number; equal ones are all there."""
        mask = non_dominated(self.values(), DIRECTIONS)
        return [trial for trial, kept in zip(self.complete(), mask, strict=True) if kept]

    def marks(self) -> dict[int, list[str]]:
        """What is special about trials, by number: `knee`, `best ta`, … of the front, and of any
        that it selects nothing."""
        complete, values = self.complete(), self.values()
        special = [
            ("knee", knee(values, DIRECTIONS)),
            *zip(("best ta", "best frm", "best rte"), extremes(values, DIRECTIONS), strict=True),
        ]
        marks: dict[int, list[str]] = {}
        for mark, row in special:
            if row is not None:
                marks.setdefault(complete[row].number, []).append(mark)
        for trial in complete:
            if selects_nothing(trial.metrics):
                marks.setdefault(trial.number, []).append(MARK)
        return marks

    @property
    def retrain_seconds(self) -> float:
        """What retraining costs; 0 until the study is prepared."""
        return float(self.reference.get("seconds", 0.0))

    def hypervolume_reference(self) -> list[float]:
        """The corner that bounds the hypervolume: TA 0, FRM 0, and the cost of retraining."""
        return [0.0, 0.0, self.retrain_seconds]

    def hypervolume(self) -> float:
        """The volume that the front dominates, in percent · seconds (FRM has no unit)."""
        return hypervolume(self.values(), DIRECTIONS, self.hypervolume_reference())

    def hypervolume_share(self) -> float:
        """The hypervolume's share of the box between its corner and TA 100, FRM 1, RTE 0."""
        return hypervolume_share(self.values(), self.retrain_seconds)

    def constants(self) -> dict[str, float]:
        """Those of `CONSTANTS` that are known: all, once the study is prepared."""
        return constants(self.original, self.reference)

    def pick(self, require: Sequence[str] = (), prefer: str = "knee") -> Pick:
        """Choose one trial; see `pareto.choice.pick.choose`.

        Raises:
            InputError: a requirement is wrong, or no trial is complete.
            NothingSatisfies: no trial satisfies the requirements.
        """
        complete = self.complete()
        if not complete:
            raise InputError(
                f"the study {self.name!r} has no complete trial",
                f"run `{study_command('', self.name, self.storage)}` first",
            )
        constants = self.constants()
        known = {*constants, *set.intersection(*(set(trial.metrics) for trial in complete))}
        requirements = parse_all(require, known)
        return choose(complete, constants, requirements, prefer)


def find_study(name: str, url: str) -> Study | None:
    """The persisted search of that name, if there is one.

    Raises:
        InputError: the storage is unusable.
    """
    if not storages.exists(url):
        return None
    storage = storages.connect(url, writable=False)
    return Study(Ledger(storage, name), url) if study_kinds(storage).get(name) == "search" else None


def open_study(name: str | None, url: str = storages.DEFAULT_URL) -> Study:
    """Open a study for reading.

    Args:
        name: of the study; None if the storage holds just one.
        url: of the storage.

    Raises:
        InputError: the storage or the study does not exist, the storage holds several, or the study
            is an experiment.
    """
    storage = storages.connect(url, writable=False)
    kinds = study_kinds(storage)
    names = [name for name, kind in kinds.items() if kind == "search"]
    if name is None and len(names) == 1:
        name = names[0]
    if name in kinds and name not in names:
        raise InputError(
            f"the study {name!r} is a {kinds[name]}, and has no front",
            f"repeat the `pareto-search {COMMANDS[kinds[name]]}` that made it:"
            " it shows what is there, and runs nothing twice",
        )
    if name not in names:
        place, listed = shown(url), ", ".join(names)
        problem = f"there is no study {name!r} in {place}"
        remedy = f"choose one of those it holds: {listed}"
        if name is None:
            problem = f"{place} holds {len(names) or 'no'} search{'es' * (len(names) > 1)}"
            remedy = f"name one with --study; it holds {listed}"
        if not names:
            remedy = "make one with `pareto-search`, or name another --storage"
        raise InputError(problem, remedy)
    return Study(Ledger(storage, name), url)
