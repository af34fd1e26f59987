"""Work in several real processes at once."""

import multiprocessing
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")

SECONDS = 180
"""After which a process that does not answer is given up."""

CONTEXT = multiprocessing.get_context("forkserver")
# One process does the slow imports and forks the others.
SLOW_IMPORTS = ["__main__", "hypothesis", "pareto.ledger", "pareto.workspace.artifacts", "pytest"]
SLOW_IMPORTS += ["alembic.command", "optuna.storages._rdb.storage", "sqlalchemy.dialects.sqlite"]
CONTEXT.set_forkserver_preload(SLOW_IMPORTS)


def start(work: Callable[..., None], *arguments: object) -> ForkServerProcess:
    """Start a process that does this work."""
    process = CONTEXT.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def run_at_once(work: Callable[[Argument], Result], arguments: Sequence[Argument]) -> list[Result]:
    """Do the work once per argument, each in a process of its own, all from the same moment on.

    Returns:
        What came of each, in the order of the arguments.
    """
    barrier, queue = CONTEXT.Barrier(len(arguments)), CONTEXT.Queue()
    processes = [
        start(_attend, barrier, queue, position, work, argument)
        for position, argument in enumerate(arguments)
    ]
    results: dict[int, Result] = {}
    for _ in processes:
        position, result, error = queue.get(timeout=SECONDS)
        if error:
            raise AssertionError(f"process {position} failed:\n{error}")
        results[position] = result
    for process in processes:
        process.join(SECONDS)
    return [results[position] for position in range(len(arguments))]


def _attend(
    barrier: Barrier,
    queue: "Queue[tuple[int, Any, str]]",
    position: int,
    work: Callable[[Any], Any],
    argument: Any,
) -> None:
    try:
        barrier.wait(SECONDS)
        queue.put((position, work(argument), ""))
    except BaseException:  # whatever ends a child is told to the test, which raises it
        queue.put((position, None, traceback.format_exc()))
