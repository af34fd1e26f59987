"""The journal file: torn lines, full disks, and locks of the dead."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import optuna
import pytest
from filelock import FileLock

from pareto import storages
from pareto.errors import StorageError
from tests.pareto.cheap import open_ledger, run
from tests.pareto.processes import CONTEXT, start
from unlearn.errors import InputError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "studies.journal"


@pytest.fixture
def url(file: Path) -> str:
    return f"journal:///{file}"


def complete(url: str) -> int:
    return open_ledger(storages.connect(url, writable=True)).counts().complete


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_line_that_its_author_did_not_live_to_end_is_dropped(
    file: Path, url: str, cut: int
) -> None:
    run(open_ledger(storages.connect(url, writable=True)), 3)
    whole = file.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    with file.open("ab") as journal:
        journal.write(last[:cut])
    assert complete(url) == 3
    run(open_ledger(storages.connect(url, writable=True)), 4)
    assert complete(url) == 4
    assert file.read_bytes().startswith(whole)
    assert all(json.loads(line) for line in file.read_bytes().splitlines())


def test_a_torn_line_longer_than_what_is_read_at_once_is_dropped(file: Path, url: str) -> None:
    run(open_ledger(storages.connect(url, writable=True)), 1)
    with file.open("ab") as journal:
        journal.write(b'{"op_code": 1' + b"x" * 200_000)
    run(open_ledger(storages.connect(url, writable=True)), 2)
    assert complete(url) == 2


def test_a_journal_that_is_nothing_but_a_torn_line_becomes_one(file: Path, url: str) -> None:
    file.write_bytes(b'{"op_co')
    assert not storages.exists(url)
    run(open_ledger(storages.connect(url, writable=True)), 1)
    assert complete(url) == 1


@pytest.mark.parametrize(
    "content", ["[requirements]\n", '{"a": 1}\n', '{"a": 1}', "3\n", "3", "\n", " "]
)
def test_a_file_that_is_no_journal_is_refused_and_kept(file: Path, url: str, content: str) -> None:
    file.write_text(content)
    for writable in (True, False):
        with pytest.raises(InputError, match="not a journal"):
            storages.connect(url, writable=writable)
    assert file.read_text() == content


NO_ATTRIBUTE = b'{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{}}\n'


@pytest.mark.parametrize("damage", [b"garbage\n", b"[]\n", b"3\n", NO_ATTRIBUTE])
def test_a_journal_damaged_in_the_middle_is_refused(file: Path, url: str, damage: bytes) -> None:
    run(open_ledger(storages.connect(url, writable=True)), 3)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:5], damage, *lines[6:]]))
    with pytest.raises(InputError, match="damaged"):
        storages.connect(url, writable=False)


def test_a_journal_damaged_while_it_is_used_ends_the_search_clearly(file: Path, url: str) -> None:
    ledger = open_ledger(storages.connect(url, writable=True))
    run(ledger, 2)
    with file.open("ab") as journal:
        journal.write(b"garbage\n" * 2)
    with pytest.raises(StorageError, match="the journal is damaged"):
        run(ledger, 4)


def test_reading_changes_nothing(file: Path, url: str) -> None:
    run(open_ledger(storages.connect(url, writable=True)), 2)
    before = file.read_bytes()
    optuna.get_all_study_names(storages.connect(url, writable=False))
    assert file.read_bytes() == before


def hold(file: str) -> None:
    FileLock(f"{file}.lock").acquire()
    Path(f"{file}.held").touch()
    time.sleep(3600)


def test_the_lock_of_a_killed_process_is_free(file: Path, url: str) -> None:
    holder = start(hold, str(file))
    while not Path(f"{file}.held").exists():
        time.sleep(0.01)
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert run(open_ledger(storages.connect(url, writable=True)), 1) == 1


def fill_up(url: str, queue: "SimpleQueue[str]") -> None:
    """Search while files may not grow beyond 8 kB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    ledger = open_ledger(storages.connect(url, writable=True))
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
    try:
        run(ledger, 100)
    except StorageError as error:
        queue.put(error.problem)


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_a_full_disk_ends_a_search_clearly_and_loses_nothing(tmp_path: Path, kind: str) -> None:
    url = f"{kind}:///{tmp_path}/studies.{kind}"
    run(open_ledger(storages.connect(url, writable=True)), 2)
    queue: SimpleQueue[str] = CONTEXT.SimpleQueue()
    process = start(fill_up, url, queue)
    assert "has not worked" in queue.get()
    process.join()
    before = complete(url)
    assert before >= 2
    ledger = open_ledger(storages.connect(url, writable=True))
    ledger.take_over_lost()
    run(ledger, before + 3)
    assert complete(url) == before + 3
    assert ledger.counts().running == 0


def test_a_search_needs_no_more_than_the_file_and_its_lock(file: Path, url: str) -> None:
    run(open_ledger(storages.connect(url, writable=True)), 1)
    code = f"from pareto import storages; storages.connect({url!r}, writable=False)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert sorted(os.listdir(file.parent)) == [file.name, f"{file.name}.lock"]
