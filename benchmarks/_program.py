"""The program as its users run it, watched from outside: what it says, and when."""

import itertools
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.pareto.program import PROGRAM

TRIALS = "running trials"
"""How the announcement begins that ends the preparation."""


@dataclass(frozen=True)
class Said:
    """A line on standard error.

    Attributes:
        at: seconds since the program was started.
        cpu: seconds of processor time that its first process, the driver, had used by then.
    """

    text: str
    at: float
    cpu: float


@dataclass(frozen=True)
class Watched:
    """A run of the program.

    Attributes:
        began: when it was started; the storage has its times in the same clock.
        said: all that it said on standard error, in order.
        seconds: how long it took in all.
    """

    began: datetime
    said: Sequence[Said]
    seconds: float

    def first(self, beginning: str) -> Said:
        """The first line that begins like this."""
        return next(line for line in self.said if line.text.startswith(beginning))

    def steps(self) -> list[tuple[str, float]]:
        """What it announced before its trials, and the seconds until the next announcement. Before
        the first, which tells what data there is, it imports and loads."""
        end = self.said.index(self.first(TRIALS))
        begun = [("imports, data, storage", 0.0)]
        begun += [(line.text, line.at) for line in self.said[1 : end + 1]]
        return [(text, later - at) for (text, at), (_, later) in itertools.pairwise(begun)]


@contextmanager
def empty_folder() -> Iterator[Path]:
    """A folder to run in, whose `cache` is the program's, so that it remembers nothing."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def watch(folder: Path, *words: str) -> Watched:
    """Run the program to its end.

    Raises:
        CalledProcessError: it failed.
    """
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    command, said = [str(PROGRAM), *words], list[Said]()
    began, start = datetime.now(), time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        driver = psutil.Process(process.pid)
        assert process.stderr is not None
        for line in process.stderr:
            used = driver.cpu_times()
            said.append(Said(line.rstrip(), time.perf_counter() - start, used.user + used.system))
        code = process.wait()
    seconds = time.perf_counter() - start
    if code != 0:
        failure = subprocess.CalledProcessError(code, command)
        failure.add_note("\n".join(line.text for line in said))
        raise failure
    return Watched(began, said, seconds)
