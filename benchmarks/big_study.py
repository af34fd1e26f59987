"""Studies of many thousand trials on SQLite: reading them, the next suggestion, and memory.

    python -m benchmarks.big_study --trials 10000

The trials are stored as a search stores them, but all their rows are inserted at once: seconds, for
what takes the ledger ten minutes. Their parameters are not what a sampler has proposed, but become
variations of the front likewise. Commands are measured as whole processes; the rest is measured in
processes of its own too, by turns with what Optuna alone takes for the same.
"""

import json
import math
import multiprocessing
import os
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeVar

import numpy as np
import optuna
import psutil
from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy.orm import Session

import studies
from benchmarks import stand_in
from benchmarks._command import Settings, add_json_argument, parser_of, run
from benchmarks._report import Row
from pareto import storages
from pareto.front import DIRECTIONS, non_dominated
from pareto.leases import Driver
from pareto.ledger import Ledger
from pareto.sampling.samplers import StudySampler
from pareto.sampling.space import at_fraction, distributions
from pareto.trials.feed import TrialFeed
from pareto.trials.outcome import Outcome, Ticket
from pareto.trials.plans import BudgetPlan
from pareto.trials.progress import search_progress
from tests.pareto.program import PROGRAM
from unlearn.seeds import derive_seed

NAME = "digits"
"""Of the definition, and of the study."""
AT_RANDOM = 200
"""How many trials come from all over the space, before others vary the front."""
GENERATION = 100
"""How many trials vary the same front."""
VARIED = 2
"""In how many parameters."""
TURNS = 20
"""How many trials a search goes on for."""
UNREACHED = 10**9
"""A budget."""

COMMANDS = {
    "list": ["list"],
    "show": ["show"],
    "show, all trials as JSON": ["show", "--format", "json"],
    "pick": ["pick", "--require", "frm >= 0.7", "--require", "rte <= 0.5", "--prefer", "ta"],
}

Made = Sequence[tuple[Ticket, Outcome]]
Result = TypeVar("Result")


class Spent(NamedTuple):
    """What a process took."""

    seconds: float
    mib: float


class Measured(NamedTuple):
    """What came of going on with a study.

    Attributes:
        reading, mib: the seconds, and the memory, that it takes to have all trials at hand.
        suggestion, report: seconds, the median over some trials.
        grown_mib: the memory that these trials took.
    """

    reading: float
    mib: float
    suggestion: float
    report: float = math.nan
    grown_mib: float = math.nan


def measure(settings: Settings) -> Iterator[Row]:
    """Of 10,000 trials, or of 1,000 if it shall be quick."""
    return measure_study(1000 if settings.quick else 10_000)


def measure_study(trials: int, rounds: int = 3) -> Iterator[Row]:
    """Of so many trials, everything so many times."""
    with tempfile.TemporaryDirectory() as folder:
        file, copy = Path(folder) / "studies.db", Path(folder) / "copy.db"
        made = variations(trials)
        store(f"sqlite:///{file}", made)
        front = non_dominated([outcome.values for _, outcome in made], DIRECTIONS).sum()
        for what, words in COMMANDS.items():
            spent = [run_command(*words, "--storage", f"sqlite:///{file}") for _ in range(rounds)]
            memory = f"{max(one.mib for one in spent):.0f} MiB at most"
            notes = f"{memory}; {trials} trials, {front} on the front"
            yield Row.of(what, [one.seconds for one in spent], "s", notes=notes)

        optuna_alone: list[Measured] = []
        ours: list[Measured] = []
        for _ in range(rounds):
            for work, done in ((go_on_with_optuna, optuna_alone), (go_on, ours)):
                with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as to:
                    source.backup(to)
                done.append(alone(work, copy))
        yield from compare("reading all trials", "s", optuna_alone, ours, lambda one: one.reading)
        yield from compare("all trials in memory", "MiB", optuna_alone, ours, lambda one: one.mib)
        yield from compare("a suggestion", "s", optuna_alone, ours, lambda one: one.suggestion)
        yield Row.of("a report, with its progress", [one.report for one in ours], "s")
        grown = [one.grown_mib for one in ours]
        yield Row.of("what a driver grows by", grown, "MiB", notes=f"over {TURNS} more trials")


def compare(
    what: str,
    unit: str,
    optuna_alone: Sequence["Measured"],
    ours: Sequence["Measured"],
    figure: Callable[["Measured"], float],
) -> Iterator[Row]:
    theirs, name = [figure(one) for one in optuna_alone], f"{what}: Optuna alone"
    yield Row.of(name, theirs, unit)
    yield Row.of(f"{what}: ours", [figure(one) for one in ours], unit, baseline=(name, theirs))


def variations(count: int) -> Made:
    """Trials at random first, then variations of the front that those before them make."""
    ranges, random = studies.load(NAME).ranges, Random(0)
    made: list[tuple[Ticket, Outcome]] = []
    front: Sequence[int] = []
    for number in range(count):
        if number >= AT_RANDOM and number % GENERATION == 0:
            values = [outcome.values for _, outcome in made]
            front = np.flatnonzero(non_dominated(values, DIRECTIONS)).tolist()
        params: dict[str, Any] = dict(made[random.choice(front)][0].params) if front else {}
        for name in random.sample(list(ranges), VARIED) if front else ranges:
            params |= at_fraction({name: ranges[name]}, random.random())
        ticket = Ticket(number, params, derive_seed(0, "trial", number))
        made.append((ticket, stand_in.unlearn(ticket)))
    return made


def store(url: str, made: Made) -> None:
    """Make a study of these trials, as a search leaves it."""
    ledger, storage = open_ledger(url)
    ledger.set_note("reference", dict(stand_in.RETRAINING))
    ledger.set_note("original", dict(stand_in.ORIGINAL))
    insert(storage, made)


def open_ledger(url: str) -> tuple[Ledger, Any]:
    """A search's ledger, and its storage."""
    definition, storage = studies.load(NAME), storages.connect(url, writable=True)
    sampler = StudySampler("tpe", 0, definition.starting_points())
    space = distributions(definition.ranges)
    content = definition.model_dump(mode="json")
    return Ledger.open(storage, content, definition.identity(), space, sampler), storage


def insert(storage: Any, made: Made) -> None:
    """Add trials to the empty study, all at once."""
    space = distributions(studies.load(NAME).ranges)
    texts = {name: distribution_to_json(distribution) for name, distribution in space.items()}
    study_id, now = storage.get_study_id_from_name(NAME), datetime.now(UTC).replace(tzinfo=None)
    lease = Driver.this_process().lease()
    trials, params, values, attributes = [], [], [], []
    for trial_id, (ticket, outcome) in enumerate(made, start=1):
        of = {"trial_id": trial_id}
        times = {"datetime_start": now, "datetime_complete": now}
        state = TrialState.COMPLETE
        trials.append(of | {"number": ticket.number, "study_id": study_id, "state": state} | times)
        for name, value in ticket.params.items():
            internal = space[name].to_internal_repr(value)
            kind = {"param_name": name, "distribution_json": texts[name]}
            params.append(of | kind | {"param_value": internal})
        for objective, figure in enumerate(outcome.values):
            finite = models.TrialValueModel.TrialValueType.FINITE
            values.append(of | {"objective": objective, "value": figure, "value_type": finite})
        told = {"lease": lease, "metrics": dict(outcome.metrics), "run": dict(outcome.run)}
        for key, attribute in told.items():
            attributes.append(of | {"key": key, "value_json": json.dumps(attribute)})
    with Session(storage._backend.engine) as session, session.begin():
        for model, rows in (
            (models.TrialModel, trials),
            (models.TrialParamModel, params),
            (models.TrialValueModel, values),
            (models.TrialUserAttributeModel, attributes),
        ):
            session.execute(model.__table__.insert(), rows)


def run_command(*words: str) -> Spent:
    """The whole process of a command, and its memory at most."""
    began = time.perf_counter()
    process = subprocess.Popen([PROGRAM, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Spent(time.perf_counter() - began, usage.ru_maxrss / 1024)


def alone(work: Callable[[Path], Result], file: Path) -> Result:
    """Do something with a file of studies in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, file).result()


def go_on(file: Path) -> Measured:
    """As a search does, but that nothing has to be run."""
    ledger, _ = open_ledger(f"sqlite:///{file}")
    reading, mib = spent_on(ledger.counts)
    plan, told = BudgetPlan(ledger, UNREACHED, study_seed=0), []
    feed = TrialFeed(ledger, plan, 5, lambda: told.append(search_progress(ledger, UNREACHED)))
    suggestions, reports, before = [], [], resident_mib()
    for _ in range(TURNS):
        began = time.perf_counter()
        ticket = feed.next()
        assert ticket is not None
        suggestions.append(time.perf_counter() - began)
        began = time.perf_counter()
        feed.report(ticket, stand_in.unlearn(ticket))
        assert not feed.finished
        reports.append(time.perf_counter() - began)
    suggestion, report = statistics.median(suggestions), statistics.median(reports)
    return Measured(reading, mib, suggestion, report, resident_mib() - before)


def go_on_with_optuna(file: Path) -> Measured:
    """As Optuna does with the same sampler, which has all trials to learn from."""
    sampler = optuna.samplers.TPESampler(seed=0)
    study = optuna.load_study(study_name=NAME, storage=f"sqlite:///{file}", sampler=sampler)
    reading, mib = spent_on(partial(study.get_trials, deepcopy=False))
    began = time.perf_counter()
    study.ask(distributions(studies.load(NAME).ranges))
    return Measured(reading, mib, time.perf_counter() - began)


def spent_on(work: Callable[[], object]) -> Spent:
    """What it takes, and what of the memory is not given back."""
    began, before = time.perf_counter(), resident_mib()
    work()
    return Spent(time.perf_counter() - began, resident_mib() - before)


def resident_mib() -> float:
    """The memory of this process."""
    return float(psutil.Process().memory_info().rss) / 2**20


def main() -> None:
    parser = parser_of("big_study", __doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    add_json_argument(parser)
    chosen = parser.parse_args()
    run({"big_study": measure_study(chosen.trials, chosen.rounds)}, chosen.json)


if __name__ == "__main__":
    main()
