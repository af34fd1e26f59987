"""Trials that do what their parameters say, and a source that remembers what came of them."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from pareto.engines import PoolEngine
from pareto.engines._contract import MakeRunner, RunTrial
from pareto.trials.outcome import Failure, Outcome, Ticket

CPU, NO_DEVICE = torch.device("cpu"), torch.device("meta")


def run_trial(ticket: Ticket) -> Outcome | Failure:
    """Behave as `ticket.params["do"]` says; the outcome tells who ran what."""
    match str(ticket.params["do"]).split(" in "):
        case ["fail"]:
            return Failure("ValueError: no", traceback="Traceback …")
        case ["exit"]:
            os._exit(7)
        case ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["wait"]:
            time.sleep(60)
        case ["wait", folder]:
            (Path(folder) / str(os.getpid())).touch()
            time.sleep(60)
        case ["meet", folder]:
            return meet(ticket, Path(folder))
    return Outcome({"ta": 1.0, "frm": 0.5, "rte": 1.0}, {"ran": ticket.number, "pid": os.getpid()})


def meet(ticket: Ticket, folder: Path) -> Outcome | Failure:
    """Wait until another trial is there too."""
    (folder / str(ticket.number)).touch()
    for _ in range(1000):
        if len(list(folder.iterdir())) > 1:
            return Outcome({"ta": 1.0, "frm": 0.5, "rte": 1.0}, {"pid": os.getpid()})
        time.sleep(0.02)
    return Failure("nobody came")


def make_runner(_device: torch.device) -> RunTrial:
    return run_trial


def make_no_runner(_device: torch.device) -> RunTrial:
    raise RuntimeError("no such device")


def make_dead_runner(_device: torch.device) -> RunTrial:
    os._exit(3)


def make_runner_on_devices(device: torch.device) -> RunTrial:
    if device == NO_DEVICE:
        time.sleep(2)
        raise RuntimeError("no such device")
    return run_trial


@dataclass
class ListedTrials:
    """A source that gives these tickets; None stands for a moment without one.

    Attributes:
        out: how many tickets are neither reported nor put back.
    """

    tickets: deque[Ticket | None]
    results: list[tuple[Ticket, Outcome | Failure]] = field(default_factory=list)
    on_next: Callable[[], None] = lambda: None
    out: int = 0
    stopped: bool = False

    @classmethod
    def of(cls, *tasks: str | None) -> "ListedTrials":
        """Tickets numbered from 0, which do these things."""
        numbered: Iterable[Ticket | None] = (
            None if task is None else Ticket(number, {"do": task}, seed=0)
            for number, task in enumerate(tasks)
        )
        return cls(deque(numbered))

    @property
    def finished(self) -> bool:
        return self.stopped or (not self.tickets and not self.out)

    def next(self) -> Ticket | None:
        self.on_next()
        ticket = self.tickets.popleft() if self.tickets else None
        self.out += ticket is not None
        return ticket

    def report(self, ticket: Ticket, result: Outcome | Failure) -> None:
        self.out -= 1
        self.results.append((ticket, result))

    def put_back(self, ticket: Ticket) -> None:
        self.out -= 1
        self.tickets.appendleft(ticket)

    @property
    def reported(self) -> list[int]:
        """The numbers of the tickets reported, in order."""
        return sorted(ticket.number for ticket, _ in self.results)

    def result(self, number: int) -> Outcome | Failure:
        """What came of one ticket."""
        return next(result for ticket, result in self.results if ticket.number == number)


def run_in_pool(devices: Sequence[torch.device], source: "ListedTrials", make: MakeRunner) -> None:
    """Run trials in a pool that is there for the purpose."""
    with PoolEngine(devices) as pool:
        pool.run(source, make)


def run_while_interrupted(folder: str) -> None:
    """Run three trials while the workers are sent what a terminal sends for Ctrl-C, and what other
    programs send to all processes of one that they end, from their first moment on."""
    ended = threading.Event()

    def interrupt_the_workers() -> None:
        while not ended.wait(0.01):
            for worker in multiprocessing.active_children():
                if worker.pid is not None:
                    with suppress(ProcessLookupError):  # it has left by now
                        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                            os.kill(worker.pid, number)

    source = ListedTrials.of(*[f"meet in {folder}"] * 2, "run")
    thread = threading.Thread(target=interrupt_the_workers)
    thread.start()
    run_in_pool([CPU, CPU], source, make_runner)
    ended.set()
    thread.join()
    outcomes = [result for _, result in source.results if isinstance(result, Outcome)]
    print(len(outcomes), "outcomes")
