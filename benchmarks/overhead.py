"""What an engine and the ledger cost per trial, on trials that do nothing.

    python -m benchmarks.overhead --storage sqlite --engine local
    python -m benchmarks.overhead --storage postgresql --workers 2 --seconds 5

Runs Optuna's own ask and tell and a search of ours by turns, on the same kind of storage with the
same sampler. Where trials take some seconds, what counts is the share of the workers' time that
they get: to ask, store and report may then go on while others work.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import optuna

from benchmarks._command import Settings, add_json_argument, parser_of, run
from benchmarks._report import Row
from benchmarks.nothing import make_runner
from pareto import storages
from pareto.engines import Engine
from pareto.engines.settings import EngineSettings
from pareto.front import DIRECTIONS
from pareto.ledger import Ledger
from pareto.sampling.samplers import StudySampler
from pareto.sampling.space import distributions
from pareto.trials.feed import TrialFeed
from pareto.trials.plans import BudgetPlan
from studies import Definition, load
from tests.pareto.servers import KINDS, running


def optuna_alone(url: str, definition: Definition, trials: int) -> float:
    """Seconds per trial of Optuna's own ask and tell."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name="optuna",
        storage=storages.connect(url, writable=True),
        directions=list(DIRECTIONS),
        sampler=optuna.samplers.TPESampler(seed=0),
    )
    space = distributions(definition.ranges)
    began = time.perf_counter()
    for number in range(trials):
        trial = study.ask(space)
        luck = number * 0.618 % 1
        study.tell(trial, [100 * luck, 1 - luck, 1 + luck])
    return (time.perf_counter() - began) / trials


def ours(url: str, definition: Definition, trials: int, engine: Engine, seconds: float) -> float:
    """Seconds per trial of a search of ours, whose trials take so many seconds each, from when all
    workers have reported to the last report."""
    ledger = Ledger.open(
        storages.connect(url, writable=True),
        definition.model_dump(mode="json"),
        {"seed": 0},
        distributions(definition.ranges),
        StudySampler("tpe", 0, definition.starting_points()),
    )
    times: list[float] = []
    plan = BudgetPlan(ledger, trials, study_seed=0)
    feed = TrialFeed(ledger, plan, 5, lambda: times.append(time.perf_counter()))
    with feed.at_work():
        engine.run(feed, partial(make_runner, seconds))
    feed.raise_if_only_failures("mend what it fails of")
    # The first trials wait for the workers to start.
    return (times[-1] - times[engine.workers - 1]) / (len(times) - engine.workers)


@contextmanager
def new_places(kind: str) -> Iterator[Iterator[str]]:
    """URLs of places of a kind where no study is kept yet."""
    with tempfile.TemporaryDirectory() as folder:
        if kind in KINDS:
            with running(kind) as server:
                yield (server.new_database(f"overhead_{turn}") for turn in range(1000))
        else:
            yield (f"{kind}:///{Path(folder)}/{turn}" for turn in range(1000))


def measure(settings: Settings) -> Iterator[Row]:
    """On the storages that need no server: trials of no time with one worker, and on the local
    engine, longer ones with two."""
    trials, rounds = (20, 3) if settings.quick else (100, 5)
    for storage in ("sqlite", "journal"):
        yield from compare(storage, EngineSettings(workers=1, device="cpu"), trials, rounds)
    several = EngineSettings(workers=2, device="cpu")
    yield from share("sqlite", several, *((8, 2) if settings.quick else (24, 3)), seconds=5)


def compare(storage: str, settings: EngineSettings, trials: int, rounds: int) -> Iterator[Row]:
    """
    Args:
        storage: its kind.
        trials: of each study.
        rounds: how many studies of either kind.
    """
    definition = load("digits")
    theirs: list[float] = []
    mine: list[float] = []
    place = f"{storage}, {settings.name}, {settings.workers} worker(s)"
    with new_places(storage) as places:
        began = time.perf_counter()
        with settings.opened("calibrated") as engine:
            started = time.perf_counter() - began
            for _ in range(rounds):
                theirs.append(1000 * optuna_alone(next(places), definition, trials))
                mine.append(1000 * ours(next(places), definition, trials, engine, 0))
    alone = f"{place}: Optuna alone"
    yield Row.of(alone, theirs, "ms/trial")
    notes = f"{trials} trials a round; the engine started in {started:.1f} s"
    yield Row.of(f"{place}: ours", mine, "ms/trial", baseline=(alone, theirs), notes=notes)


def share(
    storage: str, settings: EngineSettings, trials: int, rounds: int, seconds: float
) -> Iterator[Row]:
    """
    Args:
        seconds: that a trial takes.
    """
    place = f"{storage}, {settings.name}, {settings.workers} worker(s)"
    with new_places(storage) as places, settings.opened("calibrated") as engine:
        shares = [
            100 * seconds / engine.workers / ours(url, load("digits"), trials, engine, seconds)
            for url, _ in zip(places, range(rounds), strict=False)
        ]
    notes = f"of the workers' time; {trials} trials a round"
    yield Row.of(f"{place}: trials of {seconds:g} s", shares, "%", notes=notes)


def main() -> None:
    parser = parser_of("overhead", __doc__)
    kinds = ["sqlite", "journal", "postgresql", "mysql"]
    parser.add_argument("--storage", choices=kinds, default="sqlite")
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, help="that trials take: show the share of the workers' time"
    )
    add_json_argument(parser)
    chosen = parser.parse_args()
    engine = EngineSettings(name=chosen.engine, workers=chosen.workers, device="cpu")
    how = (chosen.storage, engine, chosen.trials, chosen.rounds)
    rows = compare(*how) if chosen.seconds is None else share(*how, chosen.seconds)
    run({"overhead": rows}, chosen.json)


if __name__ == "__main__":
    main()
