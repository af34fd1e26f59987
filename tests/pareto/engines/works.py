"""Work for `Workers.call`. Its workers import this file, and so as little as will do."""

import os
import signal
from pathlib import Path

from pareto.engines import Announce, SerialEngine, Workers
from pareto.trials.outcome import Outcome
from tests.pareto.engines.fakes import ListedTrials, make_runner
from unlearn.errors import InputError


def count_to_three(workers: Workers, announce: Announce) -> str:
    for number in (1, 2, 3):
        announce(str(number))
    return workers.device.type


def refuse(_workers: Workers, _announce: Announce) -> str:
    raise InputError("the folder is full", "make space")


def break_down(_workers: Workers, _announce: Announce) -> str:
    raise ZeroDivisionError("no reason")


def work_side_by_side(folder: str, workers: Workers, _announce: Announce) -> list[int]:
    """Two trials that wait for each other, if they can; returns who ran them."""
    task = "run" if isinstance(workers, SerialEngine) else f"meet in {folder}"
    source = ListedTrials.of(task, task)
    workers.run(source, make_runner)
    outcomes = [result for _, result in source.results if isinstance(result, Outcome)]
    return [outcome.run["pid"] for outcome in outcomes]


def wait_side_by_side(folder: str, workers: Workers, announce: Announce) -> None:
    announce("at work")
    workers.run(ListedTrials.of(*[f"wait in {folder}"] * 2), make_runner)


def die_once(folder: str, _workers: Workers, announce: Announce) -> str:
    announce("at work")
    if not Path(folder, "died").exists():
        Path(folder, "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def die(folder: str, _workers: Workers, _announce: Announce) -> None:
    Path(folder, str(os.getpid())).touch()
    os.kill(os.getpid(), signal.SIGKILL)
