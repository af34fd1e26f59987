"""Experiments: given configurations, each run on several draws of the same problem.

A search proposes what it runs; here it is known beforehand. Every repeat has a seed of its own: its
own forget request (unless that lists its samples), its own θ_o (unless that is given) and its own
retrained models; all configurations of a repeat share them, so that they differ in nothing else.
Nothing is taken from one run to another, and the cost (RTE) is the stopwatch's: each run has its
device to itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from pareto import storages
from pareto.defaults import MAX_FAILURES, WORKSPACE
from pareto.engines import Announce, Engine, Workers
from pareto.engines.devices import use_one_thread
from pareto.engines.local import end_if_imported_by_worker
from pareto.engines.plain_torch import plain_torch
from pareto.engines.settings import EngineSettings
from pareto.experiments.arms import Arm, configure
from pareto.ledger import Ledger, StudyKind
from pareto.preparation.material import Material
from pareto.preparation.prepared import Prepared, open_workspace, prepare
from pareto.study import COMMANDS
from pareto.trials.feed import TrialFeed, check_max_failures, settle
from pareto.trials.outcome import Failure, Outcome, Ticket
from pareto.trials.plans import CellPlan, cell_key
from pareto.trials.progress import Progress
from pareto.trials.runner import TrialRunner
from pareto.workspace.places import Place, absolute
from studies import Definition
from unlearn.errors import InputError

RUNTIME = "measured"

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Results:
    """What a storage knows of an experiment.

    Attributes:
        name: of its study in the storage.
        repeats: of each repeat that was begun, the figures of θ_o (`original`) and of the retrained
            models (`reference`), as in `Study`.
        runs: for each arm, in the order given, its complete runs' figures, by repeat.
        failures: for each arm, why a run of it failed last, by repeat; only of those not complete.
        interrupted: whether there was more to run.
    """

    name: str
    repeats: Mapping[int, Mapping[str, Any]]
    runs: Sequence[Mapping[int, Metrics]]
    failures: Sequence[Mapping[int, str]]
    interrupted: bool


def numbered(runs: Mapping[int, Mapping[str, float]]) -> list[Mapping[str, float]]:
    """The figures of each repeat, with its number as `repeat`: runs of one number share their
    request, θ_o and retrained models."""
    return [{"repeat": repeat, **figures} for repeat, figures in runs.items()]


@plain_torch()
def run_experiment(
    definition: Definition,
    kind: StudyKind,
    arms: Sequence[Arm],
    repeats: int,
    *,
    storage: str = storages.DEFAULT_URL,
    settings: EngineSettings | None = None,
    workspace: str = WORKSPACE,
    max_failures: int = MAX_FAILURES,
    announce: Announce = lambda _message: None,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Results:
    """Run what is missing of an experiment, and read all of it from the storage.

    It is kept as a study, see `experiment_name`, in which every run is a trial: whatever
    happens, to call this again goes on from there. Other arms or more repeats are added to it.

    A comparison is scored on the report half of the test data: configurations that a search has
    found were chosen by the other one, which serves everything that something is chosen by.

    Args:
        kind: `comparison` or `sweep`.

    Raises:
        InputError, EngineError, StorageError, OnlyFailures, KeyboardInterrupt: as in `search`.
    """
    end_if_imported_by_worker()
    check_max_failures(max_failures)
    settings = settings or EngineSettings()
    settings.check(RUNTIME)
    Place(workspace).check()
    refuse_long_proxies(definition, arms)
    material = Material.load(definition)
    ledger = _open_ledger(
        material, kind, storages.connect(storage, writable=True, announce=announce)
    )
    draws = [material.repeated(repeat) for repeat in range(repeats)]
    plans = {
        repeat: CellPlan(ledger, [arm.cell(repeat) for arm in arms], draw.seed)
        for repeat, draw in enumerate(draws)
    }
    keys = {cell_key(arm.cell(repeat)) for arm in arms for repeat in range(repeats)}
    missing = [repeat for repeat, plan in plans.items() if not plan.carried_out]

    def report_progress() -> None:
        done = sum(key in keys for key in _complete(ledger))
        on_progress(Progress(done, len(keys), f"{repeats} repeats of {len(arms)} configurations"))

    if missing:
        announce(material.describe())
        with settings.opened(RUNTIME) as engine:
            for repeat in missing:
                announce(f"repeat {repeat + 1} of {repeats}")
                prepared = _prepare(
                    ledger, engine, draws[repeat], kind, absolute(workspace), announce
                )
                feed = TrialFeed(ledger, plans[repeat], max_failures, report_progress)
                with feed.at_work():
                    engine.run(feed, partial(_make_runner, prepared))
                feed.raise_if_only_failures("mend the cause, and run the same command again")
                if feed.stop.requested:
                    break
    interrupted = not all(plan.carried_out for plan in plans.values())
    if not interrupted:
        settle(ledger)
    return _read(ledger, arms, repeats, interrupted)


def experiment_name(definition: Definition, kind: StudyKind) -> str:
    """What an experiment's study is called, and its folder of results: `digits-compare`."""
    return f"{definition.name}-{COMMANDS[kind]}"


def refuse_long_proxies(definition: Definition, arms: Sequence[Arm]) -> None:
    """Make sure that no proxy is trained for longer than θ_o's recipe goes on.

    Raises:
        InputError: one is.
    """
    delta, epochs = max(arm.config.get("delta", 0) for arm in arms), definition.recipe.epochs
    if delta > epochs:
        raise InputError(
            f"delta is {delta}, beyond recipe.epochs ({epochs}), which the proxy's schedule is"
            " made for",
            "use a lower delta, or more epochs in the definition's recipe",
        )


def _open_ledger(material: Material, kind: StudyKind, storage: Any) -> Ledger:
    name = experiment_name(material.definition, kind)
    of_search = ("method.", "space.", "objectives.runtime")
    identity = {k: v for k, v in material.identity().items() if not k.startswith(of_search)}
    return Ledger.open(
        storage,
        {**material.definition.model_dump(mode="json"), "name": name},
        {**identity, "name": name, "kind": kind},
        distributions={},
        sampler=None,
    )


def _prepare(
    ledger: Ledger,
    engine: Engine,
    material: Material,
    kind: StudyKind,
    place: str,
    announce: Announce,
) -> Prepared:
    """Make what the runs of a repeat share; what they are measured by is decided once."""
    work = partial(_prepare_on, material, kind, place)
    prepared = engine.call(work, announce, material.models_to_train)
    ledger.refuse_change()
    key = _note_key(material.repeat)
    figures = {
        "original": prepared.original_figures.as_dict(),
        "reference": prepared.reference.as_dict(),
    }
    ledger.decide({key: figures})
    return prepared.with_reference(ledger.note(key)["reference"])


def _prepare_on(
    material: Material, kind: StudyKind, place: str, workers: Workers, announce: Announce
) -> Prepared:
    use_one_thread()
    test = material.report if kind == "comparison" else material.search
    workspace = open_workspace(material, place, announce)
    with workspace.lock():
        prepared = prepare(
            material, test, workspace, workers, announce, share_work=False, price_anew=True
        )
    if workers.device.type == "cuda":
        torch.cuda.empty_cache()  # what training took is for the workers now
    return prepared


def _make_runner(prepared: Prepared, device: torch.device) -> Callable[[Ticket], Outcome | Failure]:
    use_one_thread()
    return TrialRunner(prepared, device, configure=configure).run


def _note_key(repeat: int | None) -> str:
    return f"repeat-{repeat}"


def _complete(ledger: Ledger) -> dict[str, Metrics]:
    """The figures of complete runs, by the key of their cell; of two runs of a cell, the first."""
    found: dict[str, Metrics] = {}
    for trial in ledger.trials():
        if trial.state == "complete":
            found.setdefault(cell_key(trial.params), trial.metrics)
    return found


def _read(ledger: Ledger, arms: Sequence[Arm], repeats: int, interrupted: bool) -> Results:
    complete = _complete(ledger)
    reasons = {
        cell_key(trial.params): trial.reason or ""
        for trial in ledger.trials()
        if trial.state == "failed"
    }
    keys = [{repeat: cell_key(arm.cell(repeat)) for repeat in range(repeats)} for arm in arms]
    notes = {repeat: ledger.note(_note_key(repeat)) for repeat in range(repeats)}
    return Results(
        ledger.name,
        {repeat: note for repeat, note in notes.items() if note is not None},
        [{r: complete[key] for r, key in of.items() if key in complete} for of in keys],
        [
            {r: reasons[key] for r, key in of.items() if key in reasons and key not in complete}
            for of in keys
        ],
        interrupted,
    )
