"""Samplers: what a search finds with each of them, on real trials.

It is measured twice: by the hypervolume of all trials, and by what a user would pick who has
requirements: its test accuracy, and how often it is as required when it is run again with other
seeds. Hypervolume alone says too little: cheap trials that forget next to nothing fill much of the
box. A sampler may be told of the requirements, and may not.

    python -m benchmarks.samplers --study digits --seeds 5

Every search has a seed of its own, for its sampler and for its trials; what it starts from, and the
calibration of its runtime, is the same for all, in later runs of the benchmark too, so that
hypervolumes can be compared. As many searches as there are cores run at a time.
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import joblib
import optuna
import torch
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler

import studies
from benchmarks._command import Settings, add_json_argument, parser_of, run
from benchmarks._report import Row
from benchmarks._studies import prepare
from pareto.choice.pick import NothingSatisfies, choose
from pareto.choice.requirements import parse_all
from pareto.engines.devices import choose_devices
from pareto.front import DIRECTIONS
from pareto.ledger import Trial
from pareto.preparation.groundwork import Groundwork
from pareto.results.indicators import hypervolume_share
from pareto.sampling import samplers
from pareto.sampling.aim import Aim
from pareto.sampling.samplers import SAMPLERS, UNTEACHABLE, StudySampler
from pareto.sampling.space import distributions
from pareto.study import CONSTANTS, constants
from pareto.trials.outcome import Failure, Outcome, Ticket
from pareto.trials.runner import TRIAL_FIGURES, make_runner
from unlearn.seeds import derive_seed

STUDIES = ("digits", "digits-class")
CONTESTANTS = ("random", "qmc", "nsga2", "gp", "tpe")
TEACHABLE = tuple(name for name in CONTESTANTS if name not in UNTEACHABLE)
CHECKPOINTS = (50, 100, 200)
"""After how many trials it is looked at what was found."""

REQUIREMENTS = parse_all(
    ["frm >= 0.7 * ceiling", "rte <= 0.5 * retrain_rte"], TRIAL_FIGURES | CONSTANTS
)
"""What a user asks of a trial who prefers test accuracy."""

REPEATS = 10
"""How often the pick is run again."""

SETTINGS: Mapping[str, Callable[[int, int, int], BaseSampler]] = {
    "nsga2, population 12": lambda _, seed, __: NSGAIISampler(population_size=12, seed=seed),
    "nsga2, population 50": lambda _, seed, __: NSGAIISampler(population_size=50, seed=seed),
    "tpe, 10 first": lambda _, seed, __: TPESampler(n_startup_trials=10, seed=seed),
    "tpe, 25 first": lambda _, seed, __: TPESampler(n_startup_trials=25, seed=seed),
    "tpe, 50 first": lambda _, seed, __: TPESampler(n_startup_trials=50, seed=seed),
    "tpe, multivariate": lambda _, seed, __: TPESampler(multivariate=True, seed=seed),
}
"""Other settings than those of `SAMPLERS`; TPE after so many trials, starting points included."""


@dataclass(frozen=True)
class Task:
    """One search.

    Attributes:
        sampler: a key of `SAMPLERS` or of `SETTINGS`.
        starting_points: whether it begins with those of the paper.
        told: whether the sampler aims at the requirements.
        trials: how many it makes.
    """

    sampler: str
    starting_points: bool
    told: bool
    seed: int
    trials: int

    @property
    def contestant(self) -> str:
        words = {", no starting points": not self.starting_points, ", told": self.told}
        return self.sampler + "".join(word for word, said in words.items() if said)


@dataclass(frozen=True)
class Picked:
    """What a user would pick.

    Attributes:
        satisfying: how many trials are as required.
        ta: its test accuracy, in percent.
        kept: how many of its repeats are as required, in percent.
    """

    satisfying: int
    ta: float
    kept: float


@dataclass(frozen=True)
class Search:
    """What came of one.

    Attributes:
        shares: hypervolume, by number of trials.
        picked: what a user would pick, by number of trials; None where no trial is as required.
        suggesting: processor seconds per trial that it took to propose one, in the mean.
    """

    shares: Mapping[int, float]
    picked: Mapping[int, Picked | None]
    suggesting: float


def measure(settings: Settings) -> Iterator[Row]:
    """All samplers on both studies, with and without starting points; the settings besides."""
    trials, seeds = (20, 2) if settings.quick else (max(CHECKPOINTS), 5)
    device = choose_devices(settings.device)[0]
    for study in STUDIES[:1] if settings.quick else STUDIES:
        ground = prepare(studies.load(study), device, settings.workspace)
        for names, pointed, told in (
            (CONTESTANTS, True, False),
            (CONTESTANTS, False, False),
            (TEACHABLE, True, True),
            (SETTINGS, True, False),
        ):
            yield from compare(ground, list(names), seeds, trials, pointed, told, device)


def compare(
    ground: Groundwork,
    names: Sequence[str],
    seeds: int,
    trials: int,
    starting_points: bool,
    told: bool,
    device: torch.device,
) -> Iterator[Row]:
    """
    Args:
        ground: of the study.
        names: keys of `SAMPLERS` or `SETTINGS`.
        trials: of each search.
        starting_points: whether searches begin with those of the paper.
        told: whether the samplers aim at the requirements.
    """
    tasks = [
        [Task(name, starting_points, told, seed, trials) for seed in range(seeds)] for name in names
    ]
    with ProcessPoolExecutor(
        joblib.cpu_count() if device.type == "cpu" else 1,
        multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(ground, device),
    ) as pool:
        results = [[pool.submit(_search, task) for task in same] for same in tasks]
        for same, futures in zip(tasks, results, strict=True):
            searches = [future.result() for future in futures]
            study = ground.prepared.material.definition.name
            yield from rows(f"{study}: {same[0].contestant}", searches)


def rows(name: str, searches: Sequence[Search]) -> Iterator[Row]:
    """Of searches that differ in their seeds alone."""
    for count in searches[0].shares:
        shares = [search.shares[count] for search in searches]
        notes = f"{statistics.fmean(shares):.3f} ± {statistics.stdev(shares):.3f}, mean and sd"
        yield Row.of(f"{name}: {count} trials", shares, "of the box", notes=notes)
        picked = [pick for search in searches if (pick := search.picked[count]) is not None]
        nothing = [0] * (len(searches) - len(picked))
        as_required = [*(pick.satisfying for pick in picked), *nothing]
        notes = f"mean {statistics.fmean(as_required):.1f}"
        yield Row.of(f"{name}: {count} trials, as required", as_required, "trials", notes=notes)
        for what, figures in (
            ("TA of the pick", [pick.ta for pick in picked]),
            ("repeats of the pick as required", [pick.kept for pick in picked]),
        ):
            if figures:
                notes = f"{statistics.fmean(figures):.1f}"
                if len(figures) > 1:
                    notes += f" ± {statistics.stdev(figures):.1f}"
                notes += f"; {len(figures)} of {len(searches)} searches"
                yield Row.of(f"{name}: {count} trials, {what}", figures, "%", notes=notes)
    suggesting = [1000 * search.suggesting for search in searches]
    yield Row.of(f"{name}: a suggestion", suggesting, "ms")


_ground: Groundwork
_run_trial: Callable[[Ticket], Outcome | Failure]


def _begin(ground: Groundwork, device: torch.device) -> None:
    global _ground, _run_trial
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _ground = ground
    _run_trial = make_runner(ground.prepared, ground.unit_times, device)


def _search(task: Task) -> Search:
    """Carry out a search in this process, which `_begin` has prepared."""
    definition = _ground.prepared.material.definition
    reference = _ground.prepared.reference
    known = constants(_ground.prepared.original_figures.as_dict(), reference.as_dict())
    starting = definition.starting_points() if task.starting_points else ()
    space, asked = distributions(definition.ranges), 0.0
    aim, complete = Aim(REQUIREMENTS, known), list[Trial]()
    shares, picked = dict[int, float](), dict[int, Picked | None]()
    with patch.dict(samplers.SAMPLERS, SETTINGS):
        sampler = StudySampler(task.sampler, task.seed, starting)  # type: ignore[arg-type]
        sampler.aim = aim if task.told else None
        study = optuna.create_study(directions=list(DIRECTIONS), sampler=sampler)
        for number in range(task.trials):
            began = time.process_time()
            trial = study.ask(space)
            asked += time.process_time() - began
            outcome = _run_trial(
                Ticket(number, trial.params, derive_seed(task.seed, "trial", number))
            )
            if isinstance(outcome, Outcome):
                trial.set_user_attr("metrics", dict(outcome.metrics))
                study.tell(trial, outcome.values)
                ta, frm, rte = outcome.values
                values, metrics = (ta, frm, rte), outcome.metrics
                complete.append(Trial(number, "complete", trial.params, values, metrics, {}, None))
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            if number + 1 in CHECKPOINTS or number + 1 == task.trials:
                points = [each.values for each in complete if each.values is not None]
                shares[number + 1] = hypervolume_share(points, reference.seconds)
                picked[number + 1] = _pick(complete, aim)
    return Search(shares, picked, asked / task.trials)


def _pick(complete: Sequence[Trial], aim: Aim) -> Picked | None:
    """What a user would pick; None if nothing will do."""
    try:
        pick = choose(complete, aim.constants, aim.requirements, "ta")
    except NothingSatisfies:
        return None
    again = [_run_trial(Ticket(0, pick.params, derive_seed(n, "again"))) for n in range(REPEATS)]
    kept = [isinstance(each, Outcome) and aim.met_by(each.metrics) for each in again]
    return Picked(pick.satisfying, pick.trial.metrics["ta"], 100 * statistics.fmean(kept))


def main() -> None:
    parser = parser_of("samplers", __doc__)
    names = [*SAMPLERS, *SETTINGS]
    parser.add_argument("--study", choices=STUDIES, default=STUDIES[0])
    parser.add_argument(
        "--sampler", action="append", choices=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=max(CHECKPOINTS))
    parser.add_argument("--no-starting-points", action="store_true")
    parser.add_argument("--told", action="store_true", help="of the pick's requirements")
    parser.add_argument("--device", default=Settings.device)
    parser.add_argument("--workspace", type=Path, default=Settings.workspace, metavar="FOLDER")
    add_json_argument(parser)
    chosen = parser.parse_args()
    if chosen.told and (deaf := UNTEACHABLE.intersection(chosen.sampler or ())):
        parser.error(f"nothing can be told to {', '.join(sorted(deaf))}")
    device = choose_devices(chosen.device)[0]
    measured = compare(
        prepare(studies.load(chosen.study), device, chosen.workspace),
        chosen.sampler or (TEACHABLE if chosen.told else CONTESTANTS),
        chosen.seeds,
        chosen.trials,
        not chosen.no_starting_points,
        chosen.told,
        device,
    )
    run({"samplers": measured}, chosen.json)


if __name__ == "__main__":
    main()
