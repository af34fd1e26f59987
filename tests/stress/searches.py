"""A study to be ill-treated, and what must hold of it afterwards."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import psutil

from pareto import storages
from tests.pareto.home import NAME, TINY
from tests.pareto.program import PROGRAM
from tests.pareto.servers import KINDS, Server, running

# A trial takes about a third of a second: long enough to be hit, short enough for many.
DEFINITION = TINY.replace("epochs = 2", "epochs = 30")


WORKERS = ("multiprocessing.forkserver", "ray::_Actor", "ray::carry_out")
"""What the command lines say of worker processes, and of the one that others are forked from."""

MARK = "PARETO_SEARCH_STRESS"
"""Environment variable that all processes of a search inherit."""


class Broken(Exception):
    """Something that must hold does not."""


class Search:
    """A folder with a definition, and a storage."""

    def __init__(self, folder: Path, url: str, *options: str) -> None:
        self.folder = folder
        self.url = url
        self._options = options
        self._known: dict[int, tuple[Any, Any]] = {}
        (folder / "tiny.toml").write_text(DEFINITION)

    def start(self, budget: int) -> "subprocess.Popen[bytes]":
        """Start a driver; what it says goes to a file."""
        command: list[str | Path] = [PROGRAM]
        command += ["--study", "tiny.toml", "--budget", str(budget), "--storage", self.url]
        with (self.folder / "said").open("ab") as said:
            return subprocess.Popen(
                [*command, *self._options],
                cwd=self.folder,
                env={**os.environ, MARK: str(self.folder)},
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def finish(self, budget: int, seconds: float = 600) -> None:
        """Run a driver to its end."""
        driver = self.start(budget)
        if driver.wait(seconds) != 0:
            raise Broken(f"exit code {driver.returncode}; it said:\n{self.said()[-2000:]}")

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """The trials, read by Optuna itself; none before there is a study."""
        if not storages.exists(self.url):
            return []
        storage = storages.connect(self.url, writable=False)
        if NAME not in optuna.get_all_study_names(storage):
            return []
        return optuna.load_study(study_name=NAME, storage=storage).get_trials()

    def check_kept(self) -> int:
        """Make sure that no complete trial was lost, changed or repeated.

        Returns:
            How many there are.
        """
        trials = self.trials()
        complete = {
            trial.number: (trial.params, trial.values)
            for trial in trials
            if trial.state.name == "COMPLETE"
        }
        for number, known in self._known.items():
            if complete.get(number) != known:
                raise Broken(f"trial {number} was complete and is {complete.get(number)} now")
        repeated = [t.number for t in trials if t.user_attrs.get("retry_of") in self._known]
        if repeated:
            raise Broken(f"trials {repeated} repeat complete ones")
        if len({str(params) for params, _ in complete.values()}) < len(complete):
            raise Broken("two complete trials have the same parameters")
        self._known = complete
        return len(complete)

    def check_finished(self, budget: int) -> str:
        """Make sure that the budget is met exactly and nothing runs; returns the states."""
        complete = self.check_kept()
        states = Counter(trial.state.name for trial in self.trials())
        if complete != budget or states["RUNNING"]:
            raise Broken(f"{dict(states)} for a budget of {budget}")
        silent = [
            t.number
            for t in self.trials()
            if t.state.name == "FAIL" and not t.user_attrs.get("reason")
        ]
        if silent:
            raise Broken(f"trials {silent} failed without a reason")
        return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


@contextmanager
def new_search(kind: str, *options: str) -> Iterator[tuple[Search, Server | None]]:
    """A search on a storage of this kind, and its server if it has one; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pareto-stress-"))
    try:
        if kind in KINDS:
            with running(kind) as server:
                url = server.new_database(f"stress_{uuid.uuid4().hex}")
                yield Search(folder, url, *options), server
        else:
            yield Search(folder, f"{kind}:///{folder}/studies.{kind}", *options), None
    finally:
        shutil.rmtree(folder)


def workers_of(driver: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """The processes that run a driver's trials, and where they come from."""
    found = []
    try:
        for process in psutil.Process(driver.pid).children(recursive=True):
            words = " ".join(process.cmdline())
            if any(mark in words for mark in WORKERS):
                found.append(process)
    except psutil.NoSuchProcess:
        pass  # it ended while we looked
    return found


def left_behind(search: Search) -> list[str]:
    """What is left of a search that is over: the command lines of its processes."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            if process.environ().get(MARK) == str(search.folder):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue  # it has just ended, or is somebody else's
    return found
