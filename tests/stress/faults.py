"""A database that goes away, disks that fill up, files that are damaged.

    python -m tests.stress.faults            # as root: it mounts small file systems

Must hold: an outage is waited for and said; what cannot be waited for ends the search clearly; the
study can then be gone on with, and has exactly its budget.
"""

import argparse
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.stress.searches import Broken, Search, new_search

BUDGET = 40


def wait_for_trials(search: Search, count: int) -> None:
    while search.check_kept() < count:
        time.sleep(0.3)


def expect(search: Search, *texts: str) -> None:
    """Make sure that the driver has said all of this, and shown no traceback."""
    said = search.said()
    missing = [text for text in texts if text not in said]
    if missing or "Traceback" in said:
        raise Broken(f"{missing} is not in what it said, or a traceback is:\n{said[-3000:]}")


def outage_of_20_seconds() -> str:
    with new_search("postgresql", "--workers", "2") as (search, server):
        assert server is not None
        driver = search.start(BUDGET)
        wait_for_trials(search, 5)
        server.stop()
        time.sleep(20)
        server.start()
        if driver.wait(300) != 0:
            raise Broken(search.said())
        expect(search, "does not answer", "the storage answers again")
        return search.check_finished(BUDGET)


def outage_for_good() -> str:
    with new_search("postgresql", "--workers", "2") as (search, server):
        assert server is not None
        driver = search.start(BUDGET)
        wait_for_trials(search, 5)
        server.stop()
        began = time.monotonic()
        code = driver.wait(400)
        seconds = time.monotonic() - began
        expect(search, "waiting for it for up to 120 s", "has not worked for 120 s")
        server.start()
        search.finish(BUDGET)
        return f"exit code {code} after {seconds:.0f} s; {search.check_finished(BUDGET)}"


@contextmanager
def small_file_system(folder: Path, kilobytes: int) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # we may still read there


def full_disk_under_the_storage(kind: str) -> str:
    with new_search(kind, "--workers", "2") as (search, _):
        disk = search.folder / "disk"
        with small_file_system(disk, 12_000):
            search.url = f"{kind}:///{disk}/studies"
            driver = search.start(BUDGET)
            wait_for_trials(search, 5)
            filler = disk / "filler"
            with suppress(OSError), filler.open("wb", buffering=0) as rest:  # until it is full
                while True:
                    rest.write(bytes(1024))
            code = driver.wait(300)
            if code != 1:
                raise Broken(f"exit code {code}: {search.said()}")
            expect(search, "error: the storage", "has not worked")
            filler.unlink()
            kept = search.check_kept()
            search.finish(BUDGET)
            return f"exit code 1 with {kept} kept; {search.check_finished(BUDGET)}"


def full_disk_under_the_workspace() -> str:
    with new_search("sqlite", "--workers", "2") as (search, _):
        disk = search.folder / "pareto-search-workspace"
        with small_file_system(disk, 700):
            driver = search.start(BUDGET)
            code = driver.wait(300)
            if code != 2:
                raise Broken(f"exit code {code}: {search.said()}")
            expect(search, "error: cannot write", "No space left on device")
            subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
            search.finish(BUDGET)
            return f"exit code 2; {search.check_finished(BUDGET)}"


def damaged_workspace() -> str:
    with new_search("sqlite", "--workers", "2") as (search, _):
        search.finish(10)
        workspace = search.folder / "pareto-search-workspace"
        (original,) = workspace.glob("*/original.safetensors")
        (proxies,) = workspace.glob("*/proxies-*.safetensors")
        os.truncate(original, original.stat().st_size // 2)
        content = bytearray(proxies.read_bytes())
        content[len(content) // 2] ^= 1
        proxies.write_bytes(content)
        search.finish(BUDGET)
        expect(search, "original.safetensors is damaged", f"{proxies.name} is damaged")
        if "differs from what the study was begun with" in search.said():
            raise Broken("what was rebuilt is not the same")
        return search.check_finished(BUDGET)


FAULTS: dict[str, Callable[[], str]] = {
    "outage": outage_of_20_seconds,
    "outage-for-good": outage_for_good,
    "full-sqlite": lambda: full_disk_under_the_storage("sqlite"),
    "full-journal": lambda: full_disk_under_the_storage("journal"),
    "full-workspace": full_disk_under_the_workspace,
    "damage": damaged_workspace,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faults", nargs="*", choices=[*FAULTS, []], help="all by default")
    for name in parser.parse_args().faults or FAULTS:
        print(f"{name}: {FAULTS[name]()}", flush=True)


if __name__ == "__main__":
    main()
