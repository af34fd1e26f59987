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
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from pareto.engines._contract import (
    INTERRUPTED,
    Announce,
    MakeRunner,
    RunTrial,
    T,
    TrialSource,
)
from pareto.errors import EngineError
from pareto.outcome import Failure, Ticket

POLL_SECONDS = 0.2
MAX_FAILED_STARTS = 3
REMEDY = "try fewer --workers, or another --device"
_ALIVE, _READY = "alive", "ready"


class SerialEngine:
    """One trial after the other, in this process."""

    workers = 1

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def call(self, work: Callable[[torch.device, Announce], T], announce: Announce) -> T:
        return work(self._device, announce)

    def run(self, source: TrialSource, make_runner: MakeRunner) -> None:
        run_trial = make_runner(self._device)
        while not source.finished:
            ticket = source.next()
            if ticket is None:
                time.sleep(POLL_SECONDS)
                continue
            try:
                result = run_trial(ticket)
            except KeyboardInterrupt:
                source.report(ticket, INTERRUPTED)
                raise
            source.report(ticket, result)


class PoolEngine:
    """Trials in spawned processes, one at a time in each.

    A worker that dies takes its trial with it, which is reported as lost, and is replaced. While
    all of them are at work, the next ticket is asked for, so that none has to wait for it.
    """

    def __init__(self, devices: Sequence[torch.device]) -> None:
        """
        Args:
            devices: one per worker; several may share one.
        """
        self.workers = len(devices)
        self._devices = devices
        self._failed_starts = 0
        self._reserve: Ticket | None = None

    def call(self, work: Callable[[torch.device, Announce], T], announce: Announce) -> T:
        return work(self._devices[0], announce)

    def run(self, source: TrialSource, make_runner: MakeRunner) -> None:
        # Pickled here and sent as bytes: torch would move tensors through shared memory, of which
        # containers have little.
        payload = pickle.dumps(make_runner)
        workers = [_Worker.spawn(payload, device) for device in self._devices]
        try:
            self._run(source, workers)
        except (KeyboardInterrupt, EngineError):
            for worker in workers:
                if worker.ticket is not None:
                    source.report(worker.ticket, INTERRUPTED)
            self._put_back_reserve(source)
            raise
        finally:
            for worker in workers:
                worker.connection.close()  # all at once, for each takes its time to leave
            for worker in workers:
                worker.end()

    def _run(self, source: TrialSource, workers: list["_Worker"]) -> None:
        while True:
            finished = source.finished
            if finished:
                self._put_back_reserve(source)
                if all(worker.ticket is None for worker in workers):
                    return
            for worker in workers:
                if not finished and worker.is_idle:
                    worker.start(self._next(source))
            awaited = [worker.connection for worker in workers if not worker.is_idle]
            if not awaited:
                time.sleep(POLL_SECONDS)
                continue
            ready = wait(awaited, timeout=0)
            if not ready and not finished and self._reserve is None:
                self._reserve = source.next()
            ready = ready or wait(awaited, timeout=POLL_SECONDS)
            for position, worker in enumerate(workers):
                if worker.connection in ready:
                    self._receive(source, workers, position)

    def _next(self, source: TrialSource) -> Ticket | None:
        ticket, self._reserve = self._reserve, None
        return source.next() if ticket is None else ticket

    def _put_back_reserve(self, source: TrialSource) -> None:
        if self._reserve is not None:
            source.put_back(self._reserve)
            self._reserve = None

    def _receive(self, source: TrialSource, workers: list["_Worker"], position: int) -> None:
        """Take in one message of a worker, or its death."""
        worker = workers[position]
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionError):
            reason = worker.end()
            if not worker.ready:
                self._failed_starts += 1
                if self._failed_starts == MAX_FAILED_STARTS:
                    raise EngineError(f"a worker could not start: it {reason}", REMEDY) from None
            workers[position] = _Worker.spawn(worker.payload, worker.device)
            if worker.ticket is not None:
                source.report(worker.ticket, Failure(f"its worker {reason}", lost=True))
            return
        if worker.ticket is not None:
            ticket, worker.ticket = worker.ticket, None
            self._failed_starts = 0  # it is not that none can work
            if self._reserve is not None and not source.finished:
                worker.start(self._next(source))
            source.report(ticket, message)
        elif isinstance(message, Failure):
            raise EngineError(f"a worker could not start: {message.reason}", REMEDY)
        elif message == _ALIVE:
            worker.send((worker.payload, worker.device))
        else:
            worker.ready = True
            self._failed_starts = 0


@dataclass
class _Worker:
    """A process, our end of the pipe to it, and the ticket it works on.

    It says that it is alive, is sent the payload, and says that it is ready; then it answers each
    ticket with a result. Nothing is sent that it does not wait for, as a pipe holds little and a
    process that dies while starting would never empty it.
    """

    process: BaseProcess
    connection: Connection
    payload: bytes
    device: torch.device
    ready: bool = False
    ticket: Ticket | None = None

    @classmethod
    def spawn(cls, payload: bytes, device: torch.device) -> "_Worker":
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_work, args=(theirs,), daemon=True)
        # The terminal sends Ctrl-C to every process, and what it means is for the driver to say.
        # A blocked signal stays blocked in the child, from its first moment on.
        resource_tracker.ensure_running()  # a helper of Python's, whose start unblocks the signal
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        theirs.close()
        return cls(process, ours, payload, device)

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a ticket; otherwise a message, or its death, is to come."""
        return self.ready and self.ticket is None

    def start(self, ticket: Ticket | None) -> None:
        """Let it run a ticket, if there is one."""
        if ticket is not None:
            self.ticket = ticket
            self.send(ticket)

    def send(self, message: object) -> None:
        with suppress(ConnectionError):  # it has died: receiving says so
            self.connection.send(message)

    def end(self) -> str:
        """End the process; returns how it ended, to follow "it"."""
        self.connection.close()
        self.process.join(timeout=1.0 if self.is_idle else 0.1)  # idle ones leave by themselves
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        code = self.process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = ", perhaps for lack of memory" if name == "SIGKILL" else ""
            return f"was ended by {name}{hint}"
        return f"ended with exit code {code}"


def _work(connection: Connection) -> None:
    """The life of a worker: make a runner, then trials until the driver closes the pipe."""
    threading.Thread(target=_leave_with_driver, daemon=True).start()
    with suppress(EOFError, ConnectionError):  # the driver has closed the pipe
        connection.send(_ALIVE)
        payload, device = connection.recv()
        try:
            # From our own driver through its own pipe: never from a file or a stranger.
            run_trial: RunTrial = pickle.loads(payload)(device)
        except Exception as error:
            connection.send(Failure(f"{type(error).__name__}: {error}"))
            return
        connection.send(_READY)
        while True:
            connection.send(run_trial(connection.recv()))


def _leave_with_driver() -> None:
    """End this process as soon as its driver is gone, in the middle of a trial too."""
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
