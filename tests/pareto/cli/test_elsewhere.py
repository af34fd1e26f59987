"""`pareto-search` with a database server, with Ray, and with a workspace of another name."""

import json
import os
import signal

import psutil
import pytest

from tests.pareto.cli.conftest import Invoke, Start
from tests.pareto.conftest import SLOW_EPOCHS, Tiny
from tests.pareto.home import NAME, Home, tiny
from tests.pareto.program import run
from tests.pareto.servers import Servers

BUDGET = ("--study", "tiny.toml", "--workers", "1", "--budget")


def test_a_study_on_a_server_never_tells_its_password(
    servers: Servers,
    home: Home,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = servers.new_place("postgresql", home.folder).replace("tester@", "tester:s3cr3t@")
    monkeypatch.setenv("PARETO_SEARCH_STORAGE", url)
    endings = [run(home.folder, *BUDGET, "4")]
    more = [
        ["--study", NAME, "--budget", "5", "--workers", "1"],
        ["list"],
        ["show", "--format", "json"],
        ["pick", "--prefer", "ta"],
        ["show", "--study", "another"],
    ]
    endings += [invoke(home.folder, *words) for words in more]
    assert [ending.code for ending in endings] == [0, 0, 0, 0, 0, 2]
    shown = json.loads(endings[3].out)
    assert shown["storage"] == url.replace("s3cr3t", "***")
    assert [trial["state"] for trial in shown["trials"]] == ["complete"] * 5
    for ending in endings:
        assert "s3cr3t" not in ending.out + ending.err
    for file in home.folder.rglob("*"):
        assert file.is_dir() or b"s3cr3t" not in file.read_bytes()


def test_a_search_on_ray_ends_with_the_first_interrupt_and_can_be_gone_on_with(
    slow_home: Home, start: Start
) -> None:
    words = ["--study", NAME, "--budget", "1000", "--engine", "ray", "--workers", "1"]
    program = start(slow_home.folder, *words)
    program.wait_until(lambda: slow_home.complete() >= 2)
    others = psutil.Process(program.process.pid).children(recursive=True)
    assert "raylet" in {process.name() for process in others}
    # Terminals, `timeout` and batch systems ask all processes to end; the search alone does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        for process in others:
            process.send_signal(number)
    before = slow_home.complete()
    program.wait_until(lambda: slow_home.complete() >= before + 2)
    os.killpg(program.process.pid, signal.SIGINT)
    ending = program.end()
    assert ending.code == 130
    assert "Traceback" not in ending.err
    assert "ray" not in ending.out + ending.err.replace("pareto-search", "")
    _, alive = psutil.wait_procs(others, timeout=10)
    assert alive == []
    complete = slow_home.complete()
    assert slow_home.states().count("RUNNING") == 0
    slow_home.search(complete + 1, tiny(method={"epochs": SLOW_EPOCHS}))
    assert slow_home.complete() == complete + 1


def test_a_workspace_that_is_named_is_used(
    empty_home: Home, tiny_study: Tiny, invoke: Invoke
) -> None:
    words = ["--study", "tiny.toml", "--workers", "1", "--budget", "2"]
    ending = invoke(empty_home.folder, *words, "--workspace", str(tiny_study.home.workspace))
    assert ending.code == 0
    assert "training the original model" not in ending.err
    assert not empty_home.workspace.exists()
