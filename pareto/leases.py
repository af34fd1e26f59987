"""Who runs a trial, and whether they still do.

A running trial carries a lease: which process drives it, and a beat that the process renews. A
driver on this machine whose process has ended is gone at once. Any other, wherever it runs, counts
as gone when its beat has not changed for `LEASE_SECONDS` in which we looked, by our own clock; if
it was only stopped, its late report is refused. No two clocks are compared, and the time in which
nobody could look, because the storage did not answer, does not count.
"""

import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

BEAT_SECONDS = 5.0
LEASE_SECONDS = 30.0
UNSIGNED_SECONDS = 3.0
"""How long a trial may run before its driver has signed the lease: it does so at once."""
LOOK_SECONDS = 15.0
"""How much of the time between two looks counts: long enough for a driver to beat."""


@dataclass(frozen=True)
class Driver:
    """One process that drives trials.

    Attributes:
        host: names the machine's process table: process numbers compare only within it.
        pid, started: the process, and when it started, as numbers are used again; see `_start`.
        id: tells drivers within one process apart.
    """

    host: str
    pid: int
    started: float
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def this_process(cls) -> "Driver":
        pid = os.getpid()
        return cls(_process_table(), pid, _start(pid))

    def lease(self) -> dict[str, Any]:
        """A freshly signed lease, as JSON can hold it."""
        return {**asdict(self), "beat": time.time()}


SIGNED = {"host", "pid", "started", "id", "beat"}
"""What a lease says."""


@contextmanager
def beating(beat: Callable[[], bool]) -> Iterator[None]:
    """Sign leases anew in the background while the block runs.

    Args:
        beat: called every `BEAT_SECONDS`, in a thread of its own, for as long as it returns True.
            It must not raise: nobody would hear of it.
    """
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(BEAT_SECONDS) and beat():
            pass

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@dataclass(frozen=True)
class _Look:
    """What was seen of a lease, when by our clock, and for how many seconds it had not changed."""

    beat: float | None
    when: float
    silent: float = 0.0


class LeaseWatch:
    """Tells running trials whose driver is gone from those that are looked after."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._seen: dict[int, _Look] = {}

    def forget_all_but(self, running: Container[int]) -> None:
        """Forget trials that don't run: should they run again, it is another run."""
        self._seen = {number: seen for number, seen in self._seen.items() if number in running}

    def is_lost(self, number: int, lease: Any) -> bool | None:
        """Whether the driver of a running trial is gone; None: it takes time to tell.

        To be asked again from time to time, with the lease as it stands in the storage.

        Args:
            number: of the trial.
            lease: None if nobody has signed it yet; what another program has written there counts
                as little.
        """
        if not _is_lease(lease):
            lease = None
        if (
            lease is not None
            and lease["host"] == self._driver.host
            and not _is_alive(lease["pid"], lease["started"])
        ):
            return True
        beat, now = None if lease is None else lease["beat"], time.monotonic()
        last = self._seen.get(number)
        if last is None:
            self._seen[number] = _Look(beat, now)
            return None
        if beat != last.beat:
            self._seen[number] = _Look(beat, now)
            return False
        silent = last.silent + min(now - last.when, LOOK_SECONDS)
        self._seen[number] = _Look(beat, now, silent)
        return True if silent >= (UNSIGNED_SECONDS if lease is None else LEASE_SECONDS) else None


def _is_lease(told: Any) -> bool:
    return (
        isinstance(told, dict)
        and told.keys() >= SIGNED
        and isinstance(told["pid"], int)
        and isinstance(told["started"], int | float)
    )


def _is_alive(pid: int, started: float) -> bool:
    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(_start(pid) - started) < 1.0
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return False


def _start(pid: int) -> float:
    """When a process started: in ticks since the machine did, as Linux counts them.

    Elsewhere it is Unix time. On Linux that would change with every correction of the clock, and
    live drivers would seem to be other processes.
    """
    if not Path("/proc/self/stat").exists():
        return float(psutil.Process(pid).create_time())
    # The second field is the program's name, in brackets, and may hold anything.
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return float(after_name[19])


def _process_table() -> str:
    """Changes with a reboot and differs between containers, where the system can tell."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    try:
        return f"{boot.read_text().strip()}/{space.stat().st_ino}"
    except OSError:
        return platform.node()
