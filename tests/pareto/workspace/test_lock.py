"""The lock of a workspace: one holder at a time, and none that has died."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pareto import leases
from pareto.leases import Driver, beating
from pareto.workspace import lock
from pareto.workspace.lock import WAITING, locked
from pareto.workspace.places import Place
from tests.pareto.processes import CONTEXT, SECONDS, run_at_once, start
from tests.pareto.stands import PASSWORD, Stand, ftp_server, stand

FOLDER = "study"
LEASE = f"{FOLDER}/lock.json"


def quick_lock(url: str, say: Callable[[str], None]) -> AbstractContextManager[None]:
    """A folder's lock that does not wait for long before it looks again."""
    lock.SETTLE_SECONDS, lock.LOOK_SECONDS = 0.3, 0.05
    place = Place(url)
    place.make_folder(FOLDER)
    return locked(place, FOLDER, say)


def hold(url: str, channel: Connection) -> None:
    """Take the lock until told to let go."""
    with quick_lock(url, channel.send):
        channel.send("held")
        channel.recv()


class Holder:
    """A process that takes the lock."""

    def __init__(self, url: str) -> None:
        self._channel, other_end = CONTEXT.Pipe()
        self.process = start(hold, url, other_end)

    def told(self, within: float = SECONDS) -> object:
        """What it was told next, or that it holds the lock; None if nothing in that time."""
        return self._channel.recv() if self._channel.poll(within) else None

    def let_go(self) -> None:
        self._channel.send("let go")


def hold_for_a_moment(url: str) -> tuple[float, float]:
    """From when until when the lock was held."""
    with quick_lock(url, print):
        begun = time.monotonic()
        time.sleep(0.2)
        return begun, time.monotonic()


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SETTLE_SECONDS", "LOOK_SECONDS"):
        monkeypatch.setattr(lock, name, getattr(lock, name))


@pytest.fixture(params=["path", "ftp"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A place that other processes reach too."""
    with stand(request.param, tmp_path) as made:
        yield made.url


def test_a_living_holder_is_waited_for(url: str) -> None:
    holder = Holder(url)
    assert holder.told() == "held"
    waiter = Holder(url)
    assert waiter.told() == WAITING
    assert waiter.told(within=0.5) is None
    holder.let_go()
    assert waiter.told() == "held"
    waiter.let_go()
    waiter.process.join(SECONDS)


def test_the_lock_of_a_process_that_has_died_is_free(url: str) -> None:
    holder, since = Holder(url), time.monotonic()
    assert holder.told() == "held"
    waiter = Holder(url)
    assert waiter.told() == WAITING
    holder.process.kill()
    holder.process.join()
    assert waiter.told() == "held"
    assert time.monotonic() - since < leases.LEASE_SECONDS
    waiter.let_go()
    waiter.process.join(SECONDS)


def test_of_several_at_once_one_holds_it_at_a_time(url: str) -> None:
    held = sorted(run_at_once(hold_for_a_moment, [url] * 3))
    assert all(end <= begun for (_, end), (begun, _) in pairwise(held))


def test_a_block_that_fails_lets_go(url: str) -> None:
    said: list[str] = []
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of memory"), quick_lock(url, said.append):
            raise RuntimeError("out of memory")
    assert said == []


# Where the system keeps no lock, it is a lease.


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Stand]:
    with stand("memory", tmp_path) as made:
        yield made


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are renewed, and run out, in no time."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.5)


def elsewhere() -> Driver:
    """A program on another machine, whose process number happens to be used here too."""
    return replace(Driver.this_process(), host="elsewhere")


def sign(at: Stand, driver: Driver) -> None:
    at.write(LEASE, json.dumps(driver.lease()).encode())


def signed_until_the_end(at: Stand, driver: Driver) -> AbstractContextManager[None]:
    def beat() -> bool:
        sign(at, driver)
        return True

    beat()
    return beating(beat)


def test_a_lease_is_renewed_while_it_is_held_and_then_gone(at: Stand, beats: None) -> None:
    with quick_lock(at.url, print):
        seen = set()
        for _ in range(5):
            seen.add(json.loads(at.read(LEASE))["beat"])
            time.sleep(0.1)
        assert len(seen) > 1
    assert at.names() == {FOLDER}


def test_a_stale_lease_from_another_machine_is_taken_over(at: Stand, beats: None) -> None:
    sign(at, elsewhere())
    said: list[str] = []
    began = time.monotonic()
    with quick_lock(at.url, said.append):
        assert time.monotonic() - began >= leases.LEASE_SECONDS
        assert json.loads(at.read(LEASE))["host"] == Driver.this_process().host
    assert said == [WAITING]


def test_a_renewed_lease_from_another_machine_is_waited_for(at: Stand, beats: None) -> None:
    held = threading.Event()

    def take() -> None:
        with quick_lock(at.url, print):
            held.set()

    waiter = threading.Thread(target=take)
    with signed_until_the_end(at, elsewhere()):
        waiter.start()
        assert not held.wait(2 * leases.LEASE_SECONDS)
    assert held.wait(SECONDS)
    waiter.join()


def test_a_lease_that_is_just_being_written_is_no_free_lock(
    at: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "UNSIGNED_SECONDS", 0.4)
    at.write(LEASE, b'{"host": "elsew')
    began = time.monotonic()
    with quick_lock(at.url, print):
        assert time.monotonic() - began >= leases.UNSIGNED_SECONDS


def test_whoever_signs_last_holds_it(at: Stand, beats: None) -> None:
    driver, said, took = elsewhere(), list[str](), threading.Event()

    def take() -> None:
        with quick_lock(at.url, said.append):
            took.set()

    waiter = threading.Thread(target=take)
    waiter.start()
    while Place(at.url).read(LEASE) is None:  # until the waiter has found it free, and signed
        time.sleep(0.01)
    with signed_until_the_end(at, driver):
        assert not took.wait(2 * leases.LEASE_SECONDS)
        assert json.loads(at.read(LEASE))["id"] == driver.id
    assert took.wait(SECONDS)
    waiter.join()
    assert said == [WAITING]


def test_a_holder_that_was_taken_for_dead_leaves_the_lock_to_the_other(
    at: Stand, beats: None
) -> None:
    other, said = elsewhere(), list[str]()
    with quick_lock(at.url, said.append):
        sign(at, other)
        time.sleep(0.3)
    assert json.loads(at.read(LEASE))["id"] == other.id
    assert said == ["another program prepares the same study at the same time"]


def test_a_lease_that_cannot_be_renewed_is_told_and_ends_nothing(
    tmp_path: Path, beats: None
) -> None:
    said: list[str] = []
    with ftp_server(tmp_path) as url:
        lock = quick_lock(url, said.append)
        lock.__enter__()
    time.sleep(0.3)
    lock.__exit__(None, None, None)
    assert said[0].startswith("the lock cannot be renewed: cannot read ftp://")
    assert said[-1].startswith("the lock cannot be released: cannot read ftp://")
    assert PASSWORD not in "".join(said)
