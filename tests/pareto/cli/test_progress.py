"""What is said of the progress where no bar can be drawn."""

import pytest

from pareto.cli import _progress
from pareto.cli._progress import LINES, ProgressDisplay
from pareto.trials.progress import Progress


@pytest.mark.parametrize(("silence", "lines"), [(1e9, LINES + 1), (0.0, 200)])
def test_some_lines_tell_of_it_and_one_more_after_every_silence(
    silence: float,
    lines: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(_progress, "SILENCE", silence)
    display = ProgressDisplay(quiet=False)
    for complete in range(1, 201):
        display.update(Progress(complete, 200, "details"))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == lines
    assert said[-1] == "200/200 complete · details"
