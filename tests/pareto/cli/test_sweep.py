"""`pareto-search sweep`: what it prints and writes."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pareto.experiments.sweep import arms, parse_sweep
from tests.pareto.cells import once, times_complete
from tests.pareto.cli.conftest import Invoke
from tests.pareto.home import NAME, Home, tiny

SWEEP = f"{NAME}-sweep"
VARY = ("--vary", "alpha=0:6:3")
WORDS = ("sweep", "--study", "tiny.toml", "--repeats", "2")
LEVELS = [0, 3, 6]
FIGURES = {"ta", "frm", "rte", "fa", "ra", "mia"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with this sweep, and nothing else. Not to be changed."""
    home = Home.new(tmp_path_factory.mktemp("made"))
    home.experiment("sweep", arms(tiny(), parse_sweep(VARY[1:]), {}), 2)
    return home


@pytest.fixture
def shown(made: Home, invoke: Invoke) -> dict[str, Any]:
    """What it prints as JSON."""
    ending = invoke(made.folder, *WORDS, *VARY, "--format", "json", "--quiet")
    assert (ending.code, ending.err) == (0, "")
    content: dict[str, Any] = json.loads(ending.out)
    return content


def test_a_sweep_prints_json_alone_tells_its_progress_and_leaves_its_files(
    empty_home: Home, invoke: Invoke
) -> None:
    words = ("--vary", "keep=0.2,0.8", "--vary", "delta=0,1", "--set", "alpha=1")
    ending = invoke(empty_home.folder, *WORDS, *words, "--format", "json")
    assert ending.code == 0
    summary = json.loads(ending.out)
    assert (summary["study"], summary["swept"]) == (SWEEP, {"keep": [0.2, 0.8], "delta": [0, 1]})
    assert [(point["keep"], point["delta"], point["repeats"]) for point in summary["points"]] == [
        *((0.2, 0, 2), (0.2, 1, 2)),
        *((0.8, 0, 2), (0.8, 1, 2)),
    ]
    assert "repeat 2 of 2" in ending.err
    assert "8/8 complete" in ending.err
    assert "Warning" not in ending.err
    made = {"pareto-search-workspace", "pareto-search.db", SWEEP}
    assert empty_home.files() == {*made, "tiny.toml"}
    assert sorted(os.listdir(empty_home.folder / SWEEP)) == ["keep-delta.csv", "keep-delta.png"]
    with Image.open(empty_home.folder / SWEEP / "keep-delta.png") as picture:
        picture.verify()


def test_every_point_has_its_runs(shown: dict[str, Any]) -> None:
    assert [point["alpha"] for point in shown["points"]] == LEVELS
    for point in shown["points"]:
        assert len(point["runs"]) == point["repeats"] == 2
        for name in FIGURES:
            values = [run[name] for run in point["runs"]]
            assert point[name] == pytest.approx(sum(values) / 2)
            assert point[f"{name}_sd"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert {trend["figure"] for trend in shown["trends"]} == FIGURES


def test_a_second_time_it_runs_nothing_and_prints_the_same(made: Home, invoke: Invoke) -> None:
    before = made.trials(SWEEP)
    first, second = (invoke(made.folder, *WORDS, *VARY) for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    assert first.out == second.out
    (said,) = second.err.splitlines()
    assert said.startswith("wrote ")
    assert made.trials(SWEEP) == before


def test_it_is_shown_as_csv(made: Home, shown: dict[str, Any], invoke: Invoke) -> None:
    ending = invoke(made.folder, *WORDS, *VARY, "--format", "csv", "--quiet")
    assert (ending.code, ending.err) == (0, "")
    assert ending.out == (made.folder / SWEEP / "alpha.csv").read_text("utf-8")
    rows = list(csv.DictReader(ending.out.splitlines()))
    for row, point in zip(rows, shown["points"], strict=True):
        del point["runs"]
        assert {name: float(value) for name, value in row.items()} == point


def test_it_is_shown_as_a_table_with_the_trends(
    made: Home, shown: dict[str, Any], invoke: Invoke
) -> None:
    ending = invoke(made.folder, *WORDS, *VARY, "--quiet")
    assert (ending.code, ending.err) == (0, "")
    lines = [" ".join(line.split()) for line in ending.out.splitlines()]
    for point in shown["points"]:
        figures = f"{point['ta']:.2f} ± {point['ta_sd']:.2f} {point['frm']:.3f} ±"
        assert any(line.startswith(f"{point['alpha']} 2 {figures}") for line in lines)
    assert "Spearman's ρ with alpha" in lines
    for trend in shown["trends"]:
        means = "none"
        if trend["of_means"] is not None:
            means = f"{trend['of_means']:+.2f} ({trend['p_of_means']:.2g})"
        assert any(line.startswith(f"{trend['figure'].upper()} {means} ") for line in lines)


def test_more_levels_are_added_to_those_there_are(
    made: Home, invoke: Invoke, tmp_path: Path
) -> None:
    home = made.copy(tmp_path / "home")
    before = home.trials(SWEEP)
    ending = invoke(home.folder, *WORDS, "--vary", "alpha=0,1,3", "--format", "csv", "--quiet")
    assert (ending.code, ending.err) == (0, "")
    after = home.trials(SWEEP)
    assert after[: len(before)] == before
    added = arms(tiny(), parse_sweep(["alpha=0,1"]), {})[1:]
    assert times_complete(after[len(before) :]) == once(added, 2)


def test_a_sweep_may_set_out_from_a_trial_and_belong_to_another_method(
    finished: Home, invoke: Invoke, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path / "home")
    words = ("--repeats", "1", "--format", "csv", "--quiet")
    ending = invoke(
        home.folder, "sweep", "--study", NAME, "--trial", f"{NAME}:4", "--vary", "alpha=0,1", *words
    )
    assert (ending.code, ending.err) == (0, "")
    params = {k: v for k, v in finished.trials()[4].params.items() if k != "alpha"}
    for trial in home.trials(SWEEP):
        assert trial.user_attrs["cell"]["config"].items() >= params.items()
    ending = invoke(
        home.folder, "sweep", "--study", NAME, "--method", "ga", "--vary", "epochs=1,2", *words
    )
    assert (ending.code, ending.err) == (0, "")
    cells = [trial.user_attrs["cell"] for trial in home.trials(f"{NAME}-ga-sweep")]
    assert [(cell["method"], cell["config"]["epochs"]) for cell in cells] == [("ga", 1), ("ga", 2)]


WRONG = [
    [],
    ["--vary"],
    ["--vary", "alpha"],
    ["--vary", "alpha=1"],
    ["--vary", "alpha=one,two"],
    ["--vary", "alpha=0:1"],
    ["--vary", "alpha=1,1"],
    ["--vary", "magic=1,2"],
    ["--vary", "alpha=0,0.5"],
    ["--vary", "alpha=-1,1"],
    ["--vary", "keep=0,2"],
    ["--vary", "delta=0:8:9"],
    ["--vary", "alpha=0,1", "--vary", "alpha=2,3"],
    ["--vary", "alpha=0,1", "--vary", "sigma=1,2", "--vary", "delta=0,1"],
    [*VARY, "--set", "delta"],
    [*VARY, "--set", "delta=one"],
    [*VARY, "--set", "magic=1"],
    [*VARY, "--set", "alpha=1"],
    [*VARY, "--set", "sigma=-1"],
    ["--vary", "keep=0.1,0.5", "--set", "retain_z1=1"],
    [*VARY, "--method", "magic"],
    ["--vary", "keep=0.1,0.5", "--method", "ft"],
    [*VARY, "--trial", NAME],
    [*VARY, "--trial", f"{NAME}:99"],
    [*VARY, "--trial", f"{SWEEP}:0"],
    [*VARY, "--trial", f"{NAME}:4", "--method", "ga"],
    [*VARY, "--study", "no-such-study"],
    [*VARY, "--study", SWEEP],
    [*VARY, "--repeats", "0"],
    [*VARY, "--seed", "4"],
    [*VARY, "--workers", "2", "--device", "cpu"],
    [*VARY, "--storage", "nonsense"],
    [*VARY, "--format", "xml"],
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_input_is_told_in_two_lines_and_runs_nothing(
    words: list[str], compared: Home, invoke: Invoke
) -> None:
    before = compared.trials(SWEEP)
    invoke(compared.folder, *WORDS, *words).assert_is_users_mistake()
    assert compared.trials(SWEEP) == before


def test_a_file_in_the_way_of_the_results_is_refused(empty_home: Home, invoke: Invoke) -> None:
    (empty_home.folder / SWEEP).touch()
    ending = invoke(empty_home.folder, *WORDS, *VARY)
    ending.assert_is_users_mistake()
    assert SWEEP in ending.err
    assert empty_home.files() == {SWEEP, "tiny.toml"}
