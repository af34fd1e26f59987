"""Is a chosen trial as good as it looked? Run it again, and with fresh seeds on untouched data.

The search reports the best of many trials on the data that it chose them by, and such a figure is
biased. A validation therefore scores fresh repeats of the trial, with proxies of their own, on the
half of the test data that the search has never seen, by an attack that is fitted on other members
as well, against the retrained models on that half.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from objectives.reference import Reference
from pareto import storages
from pareto.choice.pick import Judgement
from pareto.choice.requirements import Requirement
from pareto.defaults import WORKSPACE
from pareto.definitions import find_definition
from pareto.engines import Announce, SerialEngine
from pareto.engines.devices import choose_devices
from pareto.engines.plain_torch import plain_torch
from pareto.errors import StorageError, TrialFails
from pareto.front import OBJECTIVES
from pareto.ledger import Ledger
from pareto.preparation import groundwork
from pareto.preparation.material import Material
from pareto.preparation.prepared import open_workspace, prepare
from pareto.results.averages import SIX_FIGURES, columns, mean_and_sd
from pareto.results.empty_selection import count_empty
from pareto.study import Study
from pareto.trials.outcome import Failure, Ticket
from pareto.trials.runner import TrialRunner
from unlearn.errors import InputError
from unlearn.seeds import derive_seed


@dataclass(frozen=True)
class Validation:
    """What came of running a trial again.

    Attributes:
        number: of the trial.
        found: its figures in the study, on the search half.
        replayed: the figures with the same seed on the same data.
        repeats: the figures of each fresh repeat on the report half.
        original, reference: figures of θ_o, and the retrained models, on the report half; what one
            of these costs is the study's own.
        timed: whether the study's `rte` is the stopwatch's.
    """

    number: int
    found: Mapping[str, float]
    replayed: Mapping[str, float]
    repeats: tuple[Mapping[str, float], ...]
    original: Mapping[str, float]
    reference: Reference
    timed: bool

    @property
    def retrained(self) -> dict[str, float]:
        """Mean figures of the retrained models."""
        reference = self.reference
        return {"ta": reference.ta, "rte": reference.seconds, **vars(reference.mean)}

    @property
    def reproduced(self) -> bool:
        """Whether the replay has the same objective values, bit for bit; no stopwatch shows a time
        twice, so that its is not compared."""
        names = [name for name in OBJECTIVES if not (self.timed and name == "rte")]
        return all(self.found[name] == self.replayed[name] for name in names)

    def mean(self) -> dict[str, float]:
        """The mean of each figure over the repeats."""
        return mean_and_sd(columns(self.repeats))[0]

    def sd(self) -> dict[str, float] | None:
        """The standard deviation of each figure over the repeats; a single one has none."""
        return mean_and_sd(columns(self.repeats))[1] or None

    def judge(self, requirements: Sequence[Requirement]) -> list[Judgement]:
        """Each requirement against the mean of the repeats; what it names of the study is of the
        report half too."""
        mean, _ = mean_and_sd(columns(self.repeats, tuple(self.repeats[0])))
        figures = {
            **mean,
            **{f"original_{name}": value for name, value in self.original.items()},
            **{f"retrain_{name}": value for name, value in self.retrained.items()},
        }
        return [Judgement.of(requirement, figures) for requirement in requirements]

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "number": self.number,
            "reproduced": self.reproduced,
            "found": {name: self.found[name] for name in SIX_FIGURES},
            "replayed": {name: self.replayed[name] for name in SIX_FIGURES},
            "mean": self.mean(),
            "sd": self.sd(),
            "repeats": [{name: run[name] for name in SIX_FIGURES} for run in self.repeats],
            "original": dict(self.original),
            "retrained": self.retrained,
            "ceiling": self.reference.ceiling,
            "empty_selections": count_empty(self.repeats),
        }


@plain_torch()
def validate(
    study: Study,
    number: int,
    *,
    repeats: int,
    device: str = "auto",
    workspace: str | Path = WORKSPACE,
    data_dir: Path | None = None,
    announce: Announce = lambda _message: None,
) -> Validation:
    """Run a complete trial again: once as it was, and `repeats` times afresh on the report half.

    The result is kept in the study as the note `validation-<number>`, unless one of more repeats
    is there. It is returned even if the storage has stopped working in the meantime.

    Args:
        data_dir: where data sets are looked for; default: where the study found them.

    Raises:
        InputError: there is no such complete trial, the study's data is not there any more, or
            nothing is to be repeated.
        TrialFails: a run failed.
    """
    if repeats < 1:
        raise InputError(f"{repeats} fresh repeats validate nothing", "use 1 or more")
    trial = study.complete_trial(number)
    place = choose_devices(device)[0]
    definition = find_definition(study.name, study.storage).with_data_dir(data_dir)
    material = Material.load(definition)
    announce(material.describe())
    ledger = Ledger(storages.connect(study.storage, writable=True), study.name)
    ledger.refuse_difference(material.identity())
    engine = SerialEngine(place)
    ground = groundwork.lay(ledger, engine, material, str(workspace), announce)
    announce(f"running trial {number} again")
    runner = TrialRunner(ground.prepared, place, ground.unit_times)
    replayed = _run(runner, Ticket(number, trial.params, trial.run["seed"]))
    opened = open_workspace(material, str(workspace), announce)
    with opened.lock():
        unseen = replace(material, fresh_members=True)
        report = prepare(unseen, unseen.report, opened, engine, announce, share_work=False)
    runner = TrialRunner(report, place, ground.unit_times)
    runs = []
    for repeat in range(repeats):
        announce(f"fresh repeat {repeat + 1} of {repeats}")
        seed = derive_seed(definition.seed, "validation", number, repeat)
        runs.append(_run(runner, Ticket(number, trial.params, seed)))
    price = ground.prepared.reference.seconds  # the study's, wherever it was begun
    validation = Validation(
        number,
        trial.metrics,
        replayed,
        tuple(runs),
        report.original_figures.as_dict(),
        replace(report.reference, seconds=price),
        timed=ground.unit_times is None,
    )
    earlier = study.validation(number)
    if earlier is not None and len(earlier["repeats"]) > repeats:
        announce(f"the study keeps the validation of {len(earlier['repeats'])} repeats that it has")
        return validation
    try:
        ledger.set_note(f"validation-{number}", validation.as_dict())
    except StorageError as error:
        announce(f"what came of it is not kept: {error.problem}")
    return validation


def _run(runner: TrialRunner, ticket: Ticket) -> Mapping[str, float]:
    result = runner.run(ticket)
    if isinstance(result, Failure):
        raise TrialFails(
            f"trial {ticket.number} failed when run again: {result.reason}",
            "choose another trial",
        )
    return result.metrics
