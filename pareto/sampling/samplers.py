"""How the next parameters are proposed: Optuna's samplers, made reproducible."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pareto.sampling.aim import Aim
from pareto.sampling.excerpt import Excerpt, telling
from studies.names import SamplerName
from unlearn.seeds import derive_seed

# NSGA's population: the paper's starting points and some 8 generations in a budget of 200.
POPULATION = 24

# So many trials are drawn at random before TPE learns from what there is, starting points apart.
# Optuna's own ten would count them: then few trials tell it of the rest of the space.
AT_RANDOM = 10

# Of so many complete trials TPE sees all, and of more an excerpt: what it takes for a suggestion
# grows with their square.
ENOUGH = 1000


def _tpe(_study_seed: int, trial_seed: int, starting_points: int) -> BaseSampler:
    return optuna.samplers.TPESampler(n_startup_trials=starting_points + AT_RANDOM, seed=trial_seed)


def _quasi_random(study_seed: int, trial_seed: int, _starting_points: int) -> BaseSampler:
    return optuna.samplers.QMCSampler(
        scramble=True,
        seed=study_seed,
        independent_sampler=optuna.samplers.RandomSampler(seed=trial_seed),
        warn_independent_sampling=False,
    )


# By name: (the study's seed, the trial's seed, number of starting points) -> a sampler for that
# trial alone. Only the quasi-random sequence is one for the whole study; its position in it is kept
# in the storage.
SAMPLERS: dict[SamplerName, Callable[[int, int, int], BaseSampler]] = {
    "tpe": _tpe,
    "nsga2": lambda _, seed, __: optuna.samplers.NSGAIISampler(
        population_size=POPULATION, seed=seed
    ),
    "nsga3": lambda _, seed, __: optuna.samplers.NSGAIIISampler(
        population_size=POPULATION, seed=seed
    ),
    "gp": lambda _, seed, __: optuna.samplers.GPSampler(seed=seed),
    "qmc": _quasi_random,
    "random": lambda _, seed, __: optuna.samplers.RandomSampler(seed=seed),
}


# Those that learn from no trial. All others can be told what to aim at.
UNTEACHABLE: frozenset[SamplerName] = frozenset({"qmc", "random"})


class StudySampler(BaseSampler):
    """Proposes the starting points first, and then asks the sampler called `name`.

    The n-th trial that repeats no other gets starting point n: they are not queued in the storage,
    so no crash can lose them or queue them twice. Every later trial gets a sampler of its own,
    seeded by the study's seed and the trial's number: a search that was stopped goes on as if it
    had not been.

    Attributes:
        aim: what the sampler is told to look for; None is the front as a whole.
        on_new_trial: called with every trial as soon as it exists; to propose parameters may then
            take its time.
    """

    def __init__(
        self, name: SamplerName, seed: int, starting_points: Sequence[Mapping[str, Any]]
    ) -> None:
        self._name = name
        self._seed = seed
        self._starting_points = starting_points
        self.aim: Aim | None = None
        self.on_new_trial: Callable[[FrozenTrial], None] = lambda _trial: None
        # Of the latest trial; Optuna calls `before_trial` ahead of everything else.
        self._start: Mapping[str, Any] | None
        self._seen: Excerpt
        self._inner: BaseSampler

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.on_new_trial(trial)
        study_seed = self._seed % 2**32
        trial_seed = derive_seed(self._seed, "sampler", trial.number) % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._inner = SAMPLERS[self._name](study_seed, trial_seed, len(self._starting_points))
        self._inner.before_trial(study, trial)
        trials = study.get_trials(deepcopy=False)
        # The others look at few trials only, or take far too long for so many anyway.
        seen = telling(trials, ENOUGH) if self._name == "tpe" else trials
        self._seen = Excerpt(study, self.aim.told_of(seen) if self.aim else seen)
        earlier = trials[: trial.number]
        # No more are looked at than there are starting points to take.
        taken = islice(filter(self._took_its_turn, earlier), len(self._starting_points))
        start = self._starting_points[len(list(taken)) :]
        self._start = start[0] if start else None

    def _took_its_turn(self, trial: FrozenTrial) -> bool:
        """Whether a trial used up a starting point: it repeats no other, and its driver did not
        die before it had all its parameters."""
        width = len(self._starting_points[0]) if self._starting_points else 0
        cut_off = trial.state == TrialState.FAIL and len(trial.params) < width
        return "retry_of" not in trial.user_attrs and not cut_off

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if self._start is not None:
            return {}
        return self._inner.infer_relative_search_space(self._seen, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(self._seen, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if self._start is not None:
            return self._start[param_name]
        return self._inner.sample_independent(self._seen, trial, param_name, param_distribution)
