"""Trials on this machine: in this process, or in a pool of others."""

import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from pareto.engines._contract import INTERRUPTED, Announce, Make, Result, Source, T, Task, Work
from pareto.errors import EngineError
from pareto.trials.outcome import Failure
from pareto.trials.stop_request import stops_blocked
from unlearn.errors import InputError

POLL_SECONDS = 0.2
LONGEST_TMPDIR = 107 - len("/pymp-12345678/listener-12345678")
MAX_FAILED_STARTS = 3
REMEDY = "try fewer --workers, or another --device"
# Where forking is safe, one process without threads, and without CUDA, imports what all of them
# need, and forks each worker within milliseconds.
CONTEXT = (
    multiprocessing.get_context("forkserver")
    if sys.platform == "linux"
    else multiprocessing.get_context("spawn")
)
SLOW_IMPORTS = ["pareto.worker_imports"]
_ALIVE = "alive"
_NO_GUARD = 99
"""Exit code of a worker whose script, which it imports, would begin a search of its own."""


@contextmanager
def opened(devices: Sequence[torch.device]) -> Iterator["SerialEngine | PoolEngine"]:
    """An engine with a worker for each of these devices, for the time of the block; one worker is
    this process itself."""
    if len(devices) == 1:
        yield SerialEngine(devices[0])
    else:
        with PoolEngine(devices) as pool:
            yield pool


def end_if_imported_by_worker() -> None:
    """End this process if it is a worker that is still importing the script it was started by: one
    that searches whenever it is imported, and would start workers of its own."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(_NO_GUARD)


def check_temporary_folder() -> None:
    """Make sure that there is a folder for temporary files, and that the sockets of a pool, which
    lie in it, can have names.

    Raises:
        InputError: there is none, or they cannot.
    """
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError as error:
        raise InputError(
            f"there is no folder for temporary files: {error.strerror}",
            "make room, set TMPDIR to a folder that can be written, or use --workers 1",
        ) from None
    if len(os.fsencode(folder)) > LONGEST_TMPDIR:
        raise InputError(
            f"the folder for temporary files has too long a name for sockets: {folder}",
            "set TMPDIR to a shorter one, such as /tmp, or use --workers 1",
        )


def start_forking() -> None:
    """Start what forks workers, if anything does and it does not run, without waiting until it has
    imported what they need. It ends with this process."""
    if CONTEXT.get_start_method() == "forkserver":
        CONTEXT.set_forkserver_preload(SLOW_IMPORTS)
        with _stops_blocked():
            forkserver.ensure_running()


class SerialEngine:
    """One task after the other, in this process."""

    workers = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def call(self, work: Work[T], announce: Announce, side_by_side: int = 1) -> T:
        return work(self, announce)

    def run(self, source: Source[Task, Result], make_runner: Make[Task, Result]) -> None:
        run_task = make_runner(self.device)
        while not source.finished:
            task = source.next()
            if task is None:
                time.sleep(POLL_SECONDS)
                continue
            try:
                result = run_task(task)
            except KeyboardInterrupt:
                source.report(task, INTERRUPTED)
                raise
            source.report(task, result)


class PoolEngine:
    """Tasks in processes of their own, one at a time in each, for the time of a `with` block.

    They start with the first tasks, and wait for more until the block ends. One that dies takes its
    task with it, which is reported as lost, and is replaced. While all of them are at work, the
    next task is asked for, so that none has to wait for it.
    """

    def __init__(self, devices: Sequence[torch.device]) -> None:
        """
        Args:
            devices: one per worker; several may share one.
        """
        self.workers = len(devices)
        self.device = devices[0]
        self._devices = devices
        self._pool: dict[int, _Worker] = {}
        self._failed_starts = 0
        self._reserve: Any = None

    def __enter__(self) -> "PoolEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self._end(self._pool)

    def call(self, work: Work[T], announce: Announce, side_by_side: int = 1) -> T:
        return work(self, announce)

    def run(self, source: Source[Task, Result], make_runner: Make[Task, Result]) -> None:
        # Pickled here and sent as bytes: torch would move tensors through shared memory, of which
        # containers have little.
        payload = pickle.dumps(make_runner)
        for position, device in enumerate(self._devices):
            if position not in self._pool:
                self._pool[position] = _Worker.spawn(device)
            self._pool[position].employ(payload)
        try:
            self._run(source)
        except (KeyboardInterrupt, EngineError):
            for worker in self._pool.values():
                if worker.task is not None:
                    source.report(worker.task, INTERRUPTED)
            self._put_back_reserve(source)
            self._end(self._pool)
            raise
        # What still starts would disturb what is measured next.
        self._end(position for position, worker in self._pool.items() if not worker.ready)

    def _end(self, positions: Iterable[int]) -> None:
        workers = [self._pool.pop(position) for position in list(positions)]
        for worker in workers:
            worker.connection.close()  # all at once, for each takes its time to leave
        for worker in workers:
            worker.end()

    def _run(self, source: Source[Any, Any]) -> None:
        while True:
            finished = source.finished
            if finished:
                self._put_back_reserve(source)
                if all(worker.task is None for worker in self._pool.values()):
                    return
            for worker in self._pool.values():
                if not finished and worker.is_idle:
                    worker.start(self._next(source))
            awaited = [w.connection for w in self._pool.values() if not w.is_idle]
            if not awaited:
                time.sleep(POLL_SECONDS)
                continue
            ready = wait(awaited, timeout=0)
            if not ready and not finished and self._reserve is None:
                self._reserve = source.next()
            ready = ready or wait(awaited, timeout=POLL_SECONDS)
            for position, worker in self._pool.items():
                if worker.connection in ready:
                    self._receive(source, position)

    def _next(self, source: Source[Any, Any]) -> Any:
        task, self._reserve = self._reserve, None
        return source.next() if task is None else task

    def _put_back_reserve(self, source: Source[Any, Any]) -> None:
        task, self._reserve = self._reserve, None
        if task is not None:
            source.put_back(task)

    def _receive(self, source: Source[Any, Any], position: int) -> None:
        """Take in one message of a worker, or its death."""
        worker = self._pool[position]
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionError):
            reason = worker.end()
            if worker.process.exitcode == _NO_GUARD:
                raise EngineError(
                    "the script searches again when its workers import it",
                    'put what it does under `if __name__ == "__main__":`',
                ) from None
            if not worker.ready:
                self._failed_starts += 1
                if self._failed_starts == MAX_FAILED_STARTS:
                    raise EngineError(f"a worker could not start: it {reason}", REMEDY) from None
            self._pool[position] = _Worker.spawn(worker.device)
            self._pool[position].employ(worker.payload)
            if worker.task is not None:
                source.report(worker.task, Failure(f"its worker {reason}", lost=True))
            return
        if worker.task is not None:
            task, worker.task = worker.task, None
            self._failed_starts = 0  # it is not that none can work
            if self._reserve is not None and not source.finished:
                worker.start(self._next(source))
            source.report(task, message)
        elif isinstance(message, Failure):
            raise EngineError(f"a worker could not start: {message.reason}", REMEDY)
        elif message == _ALIVE:
            worker.alive = True
            worker.employ(worker.payload)
        elif message == worker.role:
            worker.ready = True
            self._failed_starts = 0


@dataclass(frozen=True)
class _Role:
    """What a worker is to be.

    Attributes:
        number: which of its roles.
        payload: the pickled maker of what it does tasks with.
    """

    number: int
    payload: bytes
    device: torch.device


@dataclass
class _Worker:
    """A process, our end of the pipe to it, and the task it works on.

    It says that it is alive, is sent its role, and answers with the role's number when it is ready;
    then it answers each task with a result, until it is sent another role. Nothing is sent that it
    does not wait for, as a pipe holds little and a process that dies while starting would never
    empty it.

    Attributes:
        role: the number of the last role that it was given.
    """

    process: BaseProcess
    connection: Connection
    device: torch.device
    payload: bytes = b""
    role: int = 0
    alive: bool = False
    ready: bool = False
    task: Any = None

    @classmethod
    def spawn(cls, device: torch.device) -> "_Worker":
        for _ in range(MAX_FAILED_STARTS):
            try:
                start_forking()
                return cls(*_start(), device)
            except (EOFError, ConnectionError):
                # The process that forks was killed. Another takes its place as soon as it is gone.
                time.sleep(POLL_SECONDS)
        raise EngineError("a worker could not start: nothing forks it", REMEDY)

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a task; otherwise a message, or its death, is to come."""
        return self.ready and self.task is None

    def employ(self, payload: bytes) -> None:
        """Give it another role, at once or as soon as it is alive; it has no task."""
        self.payload, self.ready = payload, False
        if self.alive:
            self.role += 1
            self.send(_Role(self.role, payload, self.device))

    def start(self, task: Any) -> None:
        """Let it do a task, if there is one."""
        if task is not None:
            self.task = task
            self.send(task)

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


def _start() -> tuple[BaseProcess, Connection]:
    """A process that is a worker, and our end of the pipe to it."""
    ours, theirs = multiprocessing.Pipe()
    process = CONTEXT.Process(target=_work, args=(theirs,), daemon=True)
    try:
        with _stops_blocked(), _only_real_scripts():
            process.start()
    finally:
        theirs.close()
    return process, ours


@contextmanager
def _only_real_scripts() -> Iterator[None]:
    """Let workers import the script that this process was started by, if that is a file: one that
    came by standard input is none, whatever Python calls it."""
    main = sys.modules["__main__"]
    file: str | None = getattr(main, "__file__", None)
    if file is None or os.path.exists(file):
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = file


@contextmanager
def _stops_blocked() -> Iterator[None]:
    resource_tracker.ensure_running()  # a helper of Python's, whose start unblocks signals
    with stops_blocked():
        yield


def _work(connection: Connection) -> None:
    """The life of a worker: be what the driver says, until it closes the pipe."""
    threading.Thread(target=_leave_with_driver, daemon=True).start()
    sys.stdout = sys.stderr  # what a user's model prints: stdout is the driver's alone
    with suppress(EOFError, ConnectionError):  # the driver has closed the pipe
        connection.send(_ALIVE)
        while True:
            message = connection.recv()
            if isinstance(message, _Role):
                try:
                    # From our own driver through its own pipe: never from a file or a stranger.
                    run_task = pickle.loads(message.payload)(message.device)
                except Exception as error:
                    connection.send(Failure(f"{type(error).__name__}: {error}"))
                    return
                connection.send(message.number)
            else:
                connection.send(run_task(message))


def _leave_with_driver() -> None:
    """End this process as soon as its driver is gone, in the middle of a trial too."""
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
