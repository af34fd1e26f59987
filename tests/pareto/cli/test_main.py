"""The program: help, wrong input, and what it does not load."""

import json
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pareto.cli._output import _MessageConsole
from pareto.cli.main import cli
from tests.pareto.cli.conftest import Invoke
from tests.pareto.conftest import TRIALS
from tests.pareto.home import NAME, TINY, Home
from tests.pareto.program import PROGRAM, run

COMMANDS = sorted(cli.commands)
HEAVY = {"torch", "ray", "optuna", "matplotlib", "sklearn", "scipy", "sqlalchemy"}


@pytest.mark.parametrize("command", [(), *((command,) for command in COMMANDS)])
def test_every_command_helps(command: tuple[str, ...], tmp_path: Path) -> None:
    ending = run(tmp_path, *command, "--help")
    assert (ending.code, ending.err) == (0, "")
    assert ending.out.startswith("Usage: pareto-search")
    assert "Example" in ending.out
    assert list(tmp_path.iterdir()) == []


def test_the_help_names_every_command_and_the_flags_of_a_search(
    tmp_path: Path, invoke: Invoke
) -> None:
    text = invoke(tmp_path, "--help").out
    assert all(f"  {command} " in text for command in COMMANDS)
    assert all(f"--{flag} " in text for flag in ("study", "budget", "storage", "workers", "seed"))


def test_the_version_is_told(tmp_path: Path, invoke: Invoke) -> None:
    ending = invoke(tmp_path, "--version")
    assert ending.code == 0
    assert "0." in ending.out


def loaded(folder: Path, *words: str) -> set[str]:
    """Which heavy packages a command imports."""
    code = f"""
import sys
from pareto.cli import main
sys.argv = {["pareto-search", *words]}
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return HEAVY & set(ended.stderr.split())


@pytest.mark.parametrize("words", [["--help"], ["show", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    assert loaded(tmp_path, *words) == set()


@pytest.mark.parametrize("words", [["list"], ["pick"]])
def test_reading_loads_no_torch(words: list[str], finished: Home) -> None:
    assert not {"torch", "ray"} & loaded(finished.folder, *words)


FILES = {
    "tiny.toml": TINY,
    "broken.toml": "name = \n",
    "wrong.toml": TINY.replace("learning_rate", "learning_rat"),
    "empty.toml": "",
    "text.db": "no database" * 100,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with some right and some wrong files, but no storage."""
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def assert_nothing_written(folder: Path) -> None:
    assert {file.name: file.read_text() for file in folder.iterdir()} == FILES


WRONG = [
    ["--no-such-flag"],
    ["no-such-command"],
    ["--budget", "0"],
    ["--storage", "nonsense"],
    ["list"],
    ["show"],
    ["pick"],
    ["validate", "--trial", "0"],
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_input_is_told_in_two_lines_and_writes_nothing(
    words: list[str], folder: Path
) -> None:
    run(folder, *words).assert_is_users_mistake()
    assert_nothing_written(folder)


MORE_WRONG = [
    ["--study", "no-such-study"],
    ["--study", "missing.toml"],
    ["--study", "broken.toml"],
    ["--budget"],
    ["--budget", "-3"],
    ["--budget", "many"],
    ["--budget", "2.5"],
    ["--budget", "5", "show"],
    ["--workers", "0"],
    ["--method", "magic"],
    ["--study", "tiny.toml", "--data-dir", "text.db"],
    ["--sampler", "magic"],
    ["--require"],
    ["--study", "tiny.toml", "--require", "frm >= much"],
    ["--study", "tiny.toml", "--require", "frm >= 0.6", "--sampler", "qmc"],
    ["--policy", "missing.toml"],
    ["--policy", "broken.toml"],
    ["--seed", "-1"],
    ["--seed", "one"],
    ["--study", "tiny.toml", "--budget", "1", "--seed", str(2**63)],
    ["--max-failures", "0"],
    ["--format", "xml"],
    ["--quiet=yes"],
    ["--study", "wrong.toml"],
    ["--study", "empty.toml"],
    ["--study", ""],
    ["--study", "."],
    ["--study", "tiny.toml", "--device", "abacus"],
    ["--study", "tiny.toml", "--device", "cuda:99"],
    ["--storage", ""],
    ["--storage", "sqlite:///"],
    ["--storage", "mysql://root:secret@localhost/studies"],
    ["--storage", "sqlite:////no/such/folder/studies.db"],
    ["--storage", "sqlite:///text.db"],
    ["--storage", "sqlite:///."],
    ["list", "extra"],
    ["list", "--format", "xml"],
    ["list", "--storage", "nonsense"],
    ["list", "--storage", "sqlite:///text.db"],
    ["show", "--storage", "sqlite:///missing.db"],
    ["show", "--study", "tiny"],
    ["pick", "--require"],
    ["pick", "--prefer", "cheap"],
    ["pick", "--policy", "missing.toml"],
    ["pick", "--policy", "broken.toml"],
    ["pick", "--policy", "."],
    ["validate"],
    ["validate", "--trial", "first"],
    ["validate", "--trial", "-1"],
    ["validate", "--trial", "0", "--repeats", "0"],
]


@pytest.mark.parametrize("words", MORE_WRONG, ids=" ".join)
def test_more_wrong_input_is_told_in_two_lines_and_writes_nothing(
    words: list[str], folder: Path, invoke: Invoke
) -> None:
    invoke(folder, *words).assert_is_users_mistake()
    assert_nothing_written(folder)


def test_a_password_in_a_url_is_not_repeated(folder: Path, invoke: Invoke) -> None:
    assert "secret" not in invoke(folder, "--storage", "mysql://root:secret@localhost/db").err


def test_a_mistake_in_a_definition_names_its_field(folder: Path, invoke: Invoke) -> None:
    assert "learning_rat" in invoke(folder, "--study", "wrong.toml").err


def test_a_results_folder_that_is_a_file_is_refused(folder: Path, invoke: Invoke) -> None:
    (folder / NAME).write_text("")
    ending = invoke(folder, "--study", "tiny.toml")
    ending.assert_is_users_mistake()
    assert {file.name for file in folder.iterdir()} == {*FILES, NAME}


def test_a_definition_that_differs_from_the_stored_one_changes_nothing(
    finished: Home, invoke: Invoke
) -> None:
    before = finished.trials()
    ending = invoke(finished.folder, "--study", "tiny.toml", "--seed", "4")
    ending.assert_is_users_mistake()
    assert "seed is 3 there and 4 here" in ending.err
    assert finished.trials() == before


def test_a_reader_that_has_had_enough_is_no_error(finished: Home) -> None:
    process = subprocess.Popen(
        [PROGRAM, "show", "--format", "json"],
        cwd=finished.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, complaint = process.communicate()
    assert (process.returncode, complaint) == (0, "")


SHOW = f"{shlex.quote(str(PROGRAM))} show"


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_an_output_without_room_is_told_in_two_lines(form: str, finished: Home) -> None:
    ended = shell(f"{SHOW} --format {form} > /dev/full", finished)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: there is no room left to write to")
    assert len(ended.stderr.splitlines()) == 2


def test_an_output_that_knows_no_arrows_shows_the_front_all_the_same(finished: Home) -> None:
    ended = shell(f"PYTHONIOENCODING=ascii {SHOW}", finished)
    assert (ended.returncode, ended.stderr) == (0, "")
    for trial in finished.study().front():
        assert f"{trial.metrics['ta']:.2f}" in ended.stdout


def test_outputs_may_be_closed(finished: Home) -> None:
    assert shell(f"{SHOW} >&-", finished).stderr == ""
    ended = shell(f"{SHOW} --format json 2>&-", finished)
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["study"] == NAME


def test_a_search_goes_on_when_nobody_reads_what_it_says(home: Home) -> None:
    command = f"{shlex.quote(str(PROGRAM))} --study {NAME} --budget 3 --workers 1"
    ended = shell(f"({command} --format json > out.json) 2>&1 | head -n 1", home)
    assert len(ended.stdout.splitlines()) == 1
    assert len(json.loads((home.folder / "out.json").read_text())["trials"]) == 3


def test_messages_are_left_out_where_they_have_no_room(tmp_path: Path) -> None:
    with suppress(OSError), open("/dev/full", "w") as full:  # which closing it raises as well
        console = _MessageConsole(file=full)
        console.print("what is said")
    assert console.quiet
    ended = subprocess.run(
        f"{SHOW} 2> /dev/full", shell=True, cwd=tmp_path, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, b"")


def test_a_search_that_can_draw_no_pictures_has_done_its_work(
    finished: Home, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path / "home")
    (home.folder / NAME / "front.png").mkdir(parents=True)
    # It finds that there is nothing more to search.
    ended = shell(
        f"{shlex.quote(str(PROGRAM))} --study {NAME} --budget 3 --workers 1 --format json", home
    )
    assert ended.returncode == 0
    assert len(json.loads(ended.stdout)["trials"]) == TRIALS
    assert "no pictures and tables: cannot write into tiny" in ended.stderr


def test_a_terminal_that_can_do_nothing_shows_the_whole_front(finished: Home) -> None:
    # Its size would be known from these, which Python's readline sets as well.
    unknown_size = "env --unset=LINES --unset=COLUMNS"
    ended = shell(f"{unknown_size} FORCE_COLOR=1 TERM=dumb {SHOW}", finished)
    for trial in finished.study().front():
        assert f"{trial.metrics['ta']:.2f}" in ended.stdout


def shell(command: str, home: Home) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, shell=True, cwd=home.folder, capture_output=True, text=True)


# Of a training in batches of 128 it has its fill, but not of the evaluation.
GREEDY = """
import torch
from torch import nn


class Net(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, classes))

    def forward(self, images):
        if not self.training and len(images) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().forward(images)
"""


def test_too_little_memory_beside_the_trials_is_told_in_two_lines(
    tmp_path: Path, invoke: Invoke
) -> None:
    (tmp_path / "net.py").write_text(GREEDY)
    (tmp_path / "greedy.toml").write_text(TINY.replace("small-cnn", "net.py:Net"))
    ending = invoke(
        tmp_path, "--study", "greedy.toml", "--budget", "1", "--workers", "1", "--quiet"
    )
    problem, remedy = ending.err.splitlines()
    assert ending.code == 1
    assert "too little memory: CUDA out of memory. Tried to allocate 2.00 GiB." in problem
    assert "--workers" in remedy


def test_brackets_in_a_path_are_shown(finished: Home, tmp_path: Path, invoke: Invoke) -> None:
    home = finished.copy(tmp_path / "a [bold] folder")
    for words in (["pick"], ["list"]):
        ending = invoke(tmp_path, *words, "--storage", home.url)
        assert (ending.code, home.url in ending.out.replace("\n", "")) == (0, True)


@pytest.mark.parametrize("module", ["sqlalchemy.engine.url", "optuna.storages", "torch.nn"])
def test_an_interrupt_while_it_still_imports_is_told_in_two_lines(
    module: str, empty_home: Home
) -> None:
    code = f"""if True:
        import sys
        from importlib.abc import MetaPathFinder

        class Interrupt(MetaPathFinder):
            times = 0
            def find_spec(self, name, path, target=None):
                if name == "{module}" and not self.times:
                    self.times = 1
                    raise KeyboardInterrupt

        sys.meta_path.insert(0, Interrupt())
        sys.argv = ["pareto-search", "--study", "tiny.toml", "--budget", "1", "--workers", "1"]
        from pareto.cli import main
        main()
    """
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=empty_home.folder, capture_output=True, text=True)
    assert ended.returncode == 130
    assert ended.stderr.splitlines()[-2:] == [
        "error: interrupted; what was complete is kept",
        "run the same command again to go on",
    ]
    assert "Traceback" not in ended.stderr


def test_an_interrupt_that_python_drops_comes_again(finished: Home) -> None:
    code = """if True:
        import os, signal, sys, time
        from pareto import storages
        from pareto.cli import main

        class EndingAtItsEnd:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.01)

        def connect(*_arguments, **_named):
            EndingAtItsEnd()
            time.sleep(30)

        storages.connect = connect
        sys.argv = ["pareto-search", "list"]
        main()
    """
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=finished.folder, capture_output=True, text=True)
    assert ended.returncode == 130
    assert len(ended.stderr.splitlines()) == 2
