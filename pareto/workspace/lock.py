"""Who may build in a workspace: one program at a time, and never one that has died.

On this machine the system keeps the lock, and releases it when its holder dies. Elsewhere the lock
is a lease in a file (see `leases.py`), which its holder renews while it lives.

Such a place cannot replace a file on a condition. A program therefore waits for a moment after
signing, and holds the lock only if the lease is then still its own. A program that is slower than
that moment, or that was stopped until it was taken for dead, may yet build at the same time as
another: what is kept stands that (see `artifacts.py`), and only work is done twice.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pareto.leases import Driver, LeaseWatch, beating
from pareto.workspace.places import Place
from unlearn.errors import InputError

SETTLE_SECONDS = 2.0
"""How long a program may take from seeing that the lock is free to having signed."""
LOOK_SECONDS = 1.0
WAITING = "waiting for another program that prepares the same study"

Say = Callable[[str], None]


def locked(place: Place, folder: str, say: Say) -> AbstractContextManager[None]:
    """Hold the lock of a folder, waiting for it if need be.

    Args:
        say: told, once, that it has to be waited for, and what is wrong with a lease.

    Raises:
        InputError: the place does not let itself be locked.
    """
    file = place.local_path(f"{folder}/lock")
    if file is not None:
        return _system_lock(place, f"{folder}/lock", file, say)
    return _Lease(place, f"{folder}/lock.json", say).held()


@contextmanager
def _system_lock(place: Place, name: str, file: Path, say: Say) -> Iterator[None]:
    lock = FileLock(file)
    with place.explained("lock", name):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(WAITING)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


class _Lease:
    def __init__(self, place: Place, name: str, say: Say) -> None:
        self._place = place
        self._name = name
        self._say = say
        self._driver = Driver.this_process()

    @contextmanager
    def held(self) -> Iterator[None]:
        try:
            self._take()
            with beating(self._renew):
                yield
        finally:
            self._release()

    def _take(self) -> None:
        watch, waits = LeaseWatch(self._driver), False
        while True:
            found = self._place.read(self._name)
            if found is None or watch.is_lost(0, _parsed(found)):
                self._sign()
                time.sleep(SETTLE_SECONDS)
                if self._is_ours():
                    return
            if not waits:
                waits = True
                self._say(WAITING)
            time.sleep(LOOK_SECONDS)

    def _renew(self) -> bool:
        """Sign anew; whether the lock is still ours, as far as can be told."""
        try:
            if not self._is_ours():
                self._say("another program prepares the same study at the same time")
                return False
            self._sign()
        except InputError as error:  # the next beat may get through
            self._say(f"the lock cannot be renewed: {error}")
        return True

    def _release(self) -> None:
        try:
            if self._is_ours():
                self._place.remove(self._name)
        except InputError as error:  # it runs out; no reason to end what went well
            self._say(f"the lock cannot be released: {error}")

    def _sign(self) -> None:
        self._place.write(self._name, json.dumps(self._driver.lease()).encode())

    def _is_ours(self) -> bool:
        lease = _parsed(self._place.read(self._name) or b"")
        return lease is not None and lease["id"] == self._driver.id


def _parsed(content: bytes) -> dict[str, Any] | None:
    """A lease; None while it is being written."""
    try:
        lease: dict[str, Any] = json.loads(content)
    except ValueError:
        return None
    return lease
