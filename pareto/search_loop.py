"""The search: brings a study to its budget of complete trials, whatever happens on the way."""

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral
from pathlib import Path

from pareto import storages
from pareto.choice.requirements import Requirement, parse_all
from pareto.commands import study_command
from pareto.defaults import ENGINE, MAX_FAILURES, WORKSPACE, EngineName
from pareto.definitions import find_definition
from pareto.engines import Announce
from pareto.engines.local import end_if_imported_by_worker
from pareto.engines.plain_torch import plain_torch
from pareto.engines.settings import EngineSettings
from pareto.ledger import Ledger
from pareto.preparation import groundwork
from pareto.preparation.material import Material
from pareto.sampling.aim import Aim
from pareto.sampling.samplers import UNTEACHABLE, StudySampler
from pareto.sampling.space import distributions
from pareto.study import CONSTANTS, Study, constants, open_study
from pareto.trials.feed import TrialFeed, check_max_failures, settle
from pareto.trials.plans import BudgetPlan
from pareto.trials.progress import Progress, search_progress
from pareto.trials.runner import TRIAL_FIGURES, make_runner
from pareto.workspace.places import Place
from studies import Definition
from studies.names import SamplerName
from unlearn.errors import InputError


def aims(require: Sequence[str], sampler: SamplerName) -> list[Requirement]:
    """The requirements that a sampler is told of.

    Raises:
        InputError: one is wrong, speaks of what not every trial has, or the sampler learns nothing.
    """
    requirements = parse_all(require, TRIAL_FIGURES | CONSTANTS)
    if requirements and sampler in UNTEACHABLE:
        raise InputError(
            f"the sampler {sampler!r} learns from no trial, and can aim at nothing",
            "leave the requirements to `pareto-search pick`, or use another --sampler",
        )
    return requirements


@plain_torch()
def search(
    definition: Definition | str | Path,
    budget: int,
    *,
    require: Sequence[str] = (),
    storage: str = storages.DEFAULT_URL,
    engine: EngineName = ENGINE,
    workers: int | None = None,
    device: str = "auto",
    ray_address: str | None = None,
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | None = None,
    max_failures: int = MAX_FAILURES,
    workspace: str | Path = WORKSPACE,
    announce: Announce = lambda _message: None,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Study:
    """Bring a study to `budget` complete trials in total, creating it if there is none.

    A first SIGINT or SIGTERM lets the running trials end and returns; a second one stops at once
    with KeyboardInterrupt. Either way the study can be resumed by calling this again.

    Args:
        definition: a `Definition`, or what `--study` takes.
        require: what the sampler shall aim at, like "frm >= 0.6". Nothing of it is stored: the next
            run may aim at something else, or at the front as a whole.
        storage: URL of the storage.
        engine, workers, device, ray_address, cpus_per_trial, gpus_per_trial: see `EngineSettings`;
            by default one worker per GPU, or per core on a CPU.
        max_failures: failures in a row, without a success, that stop the search.
        workspace: folder, or fsspec URL, for what is computed once per study.

    Raises:
        InputError: something given is wrong; no trial was made.
        EngineError: the engine does not work.
        StorageError: the storage does not work any more.
        OnlyFailures: `max_failures` trials failed one after the other.
        KeyboardInterrupt: stopped, at the user's second request or before the first trial.
    """
    end_if_imported_by_worker()
    if not isinstance(budget, Integral) or budget < 1:
        raise InputError(f"no study has {budget} trials", "use a whole number, 1 or more")
    check_max_failures(max_failures)
    if not isinstance(definition, Definition):
        definition = find_definition(str(definition), storage)
    wanted = aims(require, definition.sampler)
    settings = EngineSettings(engine, workers, device, ray_address, cpus_per_trial, gpus_per_trial)
    settings.check(definition.objectives.runtime)
    Place(str(workspace)).check()
    if not storages.exists(storage):  # where there is a study, it may need no more trials
        settings.start_early(definition.objectives.runtime)
    material = Material.load(definition)
    sampler = StudySampler(definition.sampler, definition.seed, definition.starting_points())
    ledger = Ledger.open(
        storages.connect(storage, writable=True, announce=announce),
        definition.model_dump(mode="json"),
        material.identity(),
        distributions(definition.ranges),
        sampler,
    )
    plan = BudgetPlan(ledger, budget, definition.seed)
    source = TrialFeed(
        ledger,
        plan,
        max_failures,
        lambda: on_progress(search_progress(ledger, budget, sampler.aim)),
    )
    if plan.carried_out:
        announce(
            f"the study has {ledger.counts().complete} complete trials, {budget} are asked for"
        )
    else:
        announce(material.describe())
        with settings.opened(definition.objectives.runtime) as opened:
            ground = groundwork.lay(ledger, opened, material, str(workspace), announce)
            if wanted:
                sampler.aim = Aim(
                    wanted, constants(ledger.note("original"), ledger.note("reference"))
                )
            announce(f"running trials on {opened.workers} worker(s)")
            with source.at_work():
                opened.run(source, partial(make_runner, ground.prepared, ground.unit_times))
    if not source.stop.requested:
        settle(ledger)
    reasons = study_command("show", definition.name, storage, "--format", "json")
    source.raise_if_only_failures(f"see `{reasons}` for the reason of each")
    return open_study(definition.name, storage)
