"""What TPE loses by learning from an excerpt of a big study: the hypervolume that it reaches.

    python -m benchmarks.excerpt --enough 200 --trials 1000 --seeds 10

Searches of the stand-in for unlearning, by turns with an excerpt and with all trials to learn from.
The latter take the longer the more trials there are: a quarter of an hour for ten of 1,000.
"""

import sys
import time
from collections.abc import Iterator
from unittest.mock import patch

import optuna

import studies
from benchmarks._command import Settings, add_json_argument, parser_of, run
from benchmarks._report import Row
from benchmarks.stand_in import RETRAINING, unlearn
from pareto.front import DIRECTIONS
from pareto.results.indicators import hypervolume_share
from pareto.sampling import samplers
from pareto.sampling.samplers import StudySampler
from pareto.sampling.space import distributions
from pareto.trials.outcome import Ticket
from unlearn.seeds import derive_seed

ALL = "all trials"


def measure(settings: Settings) -> Iterator[Row]:
    """Sizes that show the way of it, but not how much is in it."""
    enough, trials, seeds = (60, 180, 2) if settings.quick else (200, 600, 5)
    return compare(enough, trials, seeds)


def compare(enough: int, trials: int, seeds: int) -> Iterator[Row]:
    """
    Args:
        enough: how many complete trials make an excerpt.
        trials: of each search.
    """
    shares: dict[int, list[float]] = {sys.maxsize: [], enough: []}
    seconds: dict[int, list[float]] = {sys.maxsize: [], enough: []}
    for seed in range(seeds):
        for limit in shares:
            began = time.perf_counter()
            shares[limit].append(search(limit, trials, seed))
            seconds[limit].append((time.perf_counter() - began) / trials)
    excerpt, notes = f"{enough} trials", f"after {trials} trials; one run per seed"
    for what, unit, of in (("hypervolume", "of the box", shares), ("suggestion", "s", seconds)):
        baseline = (f"{what}, learning from {ALL}", of[sys.maxsize])
        yield Row.of(*baseline, unit)
        name = f"{what}, learning from {excerpt}"
        yield Row.of(name, of[enough], unit, baseline=baseline, notes=notes)


def search(enough: int, trials: int, seed: int) -> float:
    """The hypervolume's share of the box that a search reaches."""
    definition = studies.load("digits")
    sampler = StudySampler("tpe", seed, definition.starting_points())
    study = optuna.create_study(directions=list(DIRECTIONS), sampler=sampler)
    space, values = distributions(definition.ranges), list[list[float]]()
    with patch.object(samplers, "ENOUGH", enough):
        for number in range(trials):
            trial = study.ask(space)
            outcome = unlearn(Ticket(number, trial.params, derive_seed(seed, "trial", number)))
            study.tell(trial, outcome.values)
            values.append(outcome.values)
    return hypervolume_share(values, RETRAINING["seconds"])


def main() -> None:
    parser = parser_of("excerpt", __doc__)
    parser.add_argument("--enough", type=int, default=200)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=10)
    add_json_argument(parser)
    chosen = parser.parse_args()
    run({"excerpt": compare(chosen.enough, chosen.trials, chosen.seeds)}, chosen.json)


if __name__ == "__main__":
    main()
