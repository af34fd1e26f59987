"""The program in a process of its own, and, for the many ways of asking the same, in ours."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pareto.cli import main
from pareto.trials.stop_request import STOPS
from tests.pareto.program import Ending, Program

Invoke = Callable[..., Ending]
Start = Callable[..., Program]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Invoke:
    """Do in this process what the installed program does: (folder, *words) -> ending."""

    def invoke(folder: Path, *words: str) -> Ending:
        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.argv", ["pareto-search", *words])
        # It replaces these for good.
        monkeypatch.setattr("sys.unraisablehook", sys.unraisablehook)
        handlers = {number: signal.getsignal(number) for number in STOPS}
        try:
            with pytest.raises(SystemExit) as caught:
                main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        assert isinstance(caught.value.code, int)
        return Ending(caught.value.code, *capsys.readouterr())

    return invoke


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the program: (folder, *words) -> a run that is over when the test is."""
    programs: list[Program] = []

    def start(folder: Path, *words: str) -> Program:
        programs.append(Program(folder, *words))
        return programs[-1]

    yield start
    for program in programs:
        program.clear_away()
