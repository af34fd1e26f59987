"""What every engine promises."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pareto.engines import Engine, PoolEngine, SerialEngine
from pareto.trials.outcome import Failure, Outcome
from pareto.trials.stop_request import StopRequest
from tests.pareto.engines.fakes import CPU, ListedTrials, make_runner


@pytest.fixture(params=["serial", "pool", "ray"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    match request.param:
        case "serial":
            yield SerialEngine(CPU)
        case "pool":
            with PoolEngine([CPU, CPU]) as pool:
                yield pool
        case "ray":
            yield request.getfixturevalue("ray_engine")


def test_every_ticket_is_reported_once_with_what_came_of_it(engine: Engine) -> None:
    source = ListedTrials.of("run", None, "run", "fail", None, None, "run", "run")
    engine.run(source, make_runner)
    assert source.reported == [0, 2, 3, 6, 7]
    for number in (0, 2, 6, 7):
        result = source.result(number)
        assert isinstance(result, Outcome)
        assert result.run["ran"] == number
    assert source.result(3) == Failure("ValueError: no", traceback="Traceback …")


def test_a_finished_source_is_asked_for_nothing(engine: Engine) -> None:
    def refuse() -> None:
        raise AssertionError("asked for a ticket")

    source = ListedTrials.of()
    source.on_next = refuse
    engine.run(source, make_runner)
    assert source.results == []


def test_an_interrupt_reports_what_runs_as_lost_and_leaves_no_process(
    engine: Engine, tmp_path: Path
) -> None:
    source, stop = ListedTrials.of(*[f"wait in {tmp_path}"] * 4), StopRequest()
    stop.requested = True  # by a first signal

    def interrupt_once_a_trial_runs() -> None:
        while not any(tmp_path.iterdir()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_once_a_trial_runs, daemon=True).start()
    # As in a search, which sends a signal again if Python drops what its handler raises.
    with pytest.raises(KeyboardInterrupt), stop.on_signals():
        engine.run(source, make_runner)
    given = 4 - len(source.tickets)
    assert given > 0
    assert [result for _, result in source.results] == [Failure("interrupted", lost=True)] * given
    assert source.out == 0
    assert multiprocessing.active_children() == []
    workers = {int(file.name) for file in tmp_path.iterdir()} - {os.getpid()}
    alive = [psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)]
    assert psutil.wait_procs(alive, timeout=10)[1] == []
