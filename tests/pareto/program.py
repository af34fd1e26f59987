"""The program as it is installed, run as its users run it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROGRAM = Path(sys.executable).parent / "pareto-search"
SECONDS = 180
"""After which a run is given up."""


class Ending(NamedTuple):
    """How a run ended."""

    code: int
    out: str
    err: str

    def assert_is_users_mistake(self) -> None:
        """Exit code 2, one line of what is wrong, one of what to do, and no result."""
        problem, remedy = self.err.splitlines()
        assert problem.startswith("error: ")
        assert problem.removeprefix("error: ").strip()
        assert remedy.strip()
        assert (self.code, self.out) == (2, "")


class Program:
    """A run that goes on in the background, in a process group of its own as in a terminal."""

    def __init__(self, folder: Path, *words: str) -> None:
        # Files and not pipes: nobody has to read them for the program to go on.
        self._out, self._err = (Path(tempfile.mkstemp()[1]) for _ in range(2))
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [PROGRAM, *words], cwd=folder, stdout=out, stderr=err, start_new_session=True
            )

    def wait_for(self, text: str) -> None:
        """Wait until it has said this on standard error."""
        self.wait_until(lambda: text in self._err.read_text("utf-8"))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has happened while it runs."""
        given_up = time.monotonic() + SECONDS
        while not condition():
            if self.process.poll() is not None:
                raise AssertionError(f"it ended before that: {self.end()}")
            if time.monotonic() > given_up:
                raise AssertionError(f"not yet after {SECONDS} seconds")
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a lack of memory or of current does."""
        self.process.kill()
        self.process.wait()

    def clear_away(self) -> None:
        """Make sure that neither it nor any of its workers is left."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for file in (self._out, self._err):
            file.unlink(missing_ok=True)

    def end(self) -> Ending:
        """Wait until it has ended."""
        try:
            code = self.process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            said = self._err.read_text("utf-8")
            raise AssertionError(f"it does not end; it has said:\n{said}") from None
        return Ending(code, self._out.read_text("utf-8"), self._err.read_text("utf-8"))


def run(folder: Path, *words: str) -> Ending:
    """Run the program in a folder until it ends."""
    program = Program(folder, *words)
    try:
        return program.end()
    finally:
        program.clear_away()
