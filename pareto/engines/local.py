"""Trials on this machine: in this process, or in a pool of spawned ones."""

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from pareto.engines._contract import TrialSource
from pareto.errors import EngineError
from pareto.outcome import Failure, Outcome, Ticket

POLL_SECONDS = 0.2
START_REMEDY = "try fewer --workers, or another --device"

RunTrial = Callable[[Ticket], Outcome | Failure]
INTERRUPTED = Failure("interrupted", lost=True)


class SerialEngine:
    """One trial after the other, in this process."""

    def __init__(self, run_trial: RunTrial) -> None:
        self._run_trial = run_trial

    def run(self, source: TrialSource) -> None:
        while not source.finished:
            ticket = source.next()
            if ticket is None:
                time.sleep(POLL_SECONDS)
                continue
            try:
                result = self._run_trial(ticket)
            except KeyboardInterrupt:
                source.report(ticket, INTERRUPTED)
                raise
            source.report(ticket, result)


class PoolEngine:
    """Trials in spawned processes, one at a time in each.

    A worker that dies takes its trial with it, which is reported as lost, and is replaced.
    """

    def __init__(self, make_runners: Sequence[Callable[[], RunTrial]]) -> None:
        """
        Args:
            make_runners: one per worker, called in the worker; has to be picklable.
        """
        # Pickled here and passed as bytes: torch would move tensors through shared memory, of
        # which containers have little.
        self._payloads = [pickle.dumps(make_runner) for make_runner in make_runners]

    def run(self, source: TrialSource) -> None:
        workers = [_Worker.spawn(payload) for payload in self._payloads]
        try:
            self._run(source, workers)
        except KeyboardInterrupt:
            for worker in workers:
                if worker.ticket is not None:
                    source.report(worker.ticket, INTERRUPTED)
            raise
        finally:
            for worker in workers:
                worker.end()

    def _run(self, source: TrialSource, workers: list["_Worker"]) -> None:
        while True:
            finished = source.finished
            if finished and all(worker.ticket is None for worker in workers):
                return
            for worker in workers:
                if not finished and worker.ready and worker.ticket is None:
                    worker.start(source.next())
            awaited = [worker.connection for worker in workers if worker.is_awaited]
            if not awaited:
                time.sleep(POLL_SECONDS)
                continue
            ready = wait(awaited, timeout=POLL_SECONDS)
            for position, worker in enumerate(workers):
                if worker.connection in ready:
                    self._receive(source, workers, position)

    def _receive(self, source: TrialSource, workers: list["_Worker"], position: int) -> None:
        worker = workers[position]
        ticket = worker.ticket
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionError):
            reason = worker.end()
            if not worker.ready:
                raise EngineError(f"a worker could not start: it {reason}", START_REMEDY) from None
            workers[position] = _Worker.spawn(self._payloads[position])
            if ticket is not None:
                source.report(ticket, Failure(f"its worker {reason}", lost=True))
            return
        if ticket is None:
            if isinstance(message, Failure):
                raise EngineError(f"a worker could not start: {message.reason}", START_REMEDY)
            worker.ready = True
        else:
            worker.ticket = None
            source.report(ticket, message)


@dataclass
class _Worker:
    """A process, our end of the pipe to it, and the ticket it works on."""

    process: BaseProcess
    connection: Connection
    ready: bool = False
    ticket: Ticket | None = None

    @classmethod
    def spawn(cls, payload: bytes) -> "_Worker":
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_work, args=(theirs, payload), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours)

    @property
    def is_awaited(self) -> bool:
        """Whether a message, or its death, is what we wait for."""
        return not self.ready or self.ticket is not None

    def start(self, ticket: Ticket | None) -> None:
        if ticket is not None:
            self.ticket = ticket
            with suppress(ConnectionError):  # it has died: receiving says so
                self.connection.send(ticket)

    def end(self) -> str:
        """End the process; returns how it ended, to follow "it"."""
        self.connection.close()
        if self.ticket is None and self.ready:
            self.process.join(timeout=1)  # an idle worker leaves by itself
        self.process.join(timeout=0.1)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = ", perhaps for lack of memory" if name == "SIGKILL" else ""
            return f"was ended by {name}{hint}"
        return f"ended with exit code {code}"


def _work(connection: Connection, payload: bytes) -> None:
    """The life of a worker: make a runner, then trials until the driver closes the pipe."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # the terminal sends Ctrl-C to all: the driver decides
    threading.Thread(target=_leave_with_driver, daemon=True).start()
    try:
        run_trial: RunTrial = pickle.loads(payload)()
    except Exception as error:
        connection.send(Failure(f"{type(error).__name__}: {error}"))
        return
    try:
        connection.send(None)
        while True:
            connection.send(run_trial(connection.recv()))
    except (EOFError, ConnectionError):
        return  # the driver has closed the pipe


def _leave_with_driver() -> None:
    """End this process as soon as its driver is gone, in the middle of a trial too."""
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
