"""`pareto-search show --against`."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from pareto.results.head_to_head import compare_fronts
from pareto.study import open_study
from tests.pareto.cli.conftest import Invoke
from tests.pareto.conftest import TRIALS
from tests.pareto.home import NAME, Home, tiny
from tests.pareto.program import run
from tests.pareto.recorded import record

OTHER = f"{NAME}-ft"
BUDGET = 3
WORDS = ("show", "--study", NAME, "--against", OTHER)
PICTURE = Path(NAME, f"{NAME}-against-{OTHER}.png")


@pytest.fixture(scope="module")
def both(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home where fine-tuning was searched too, on the same problem. Its studies are not to be
    changed."""
    home = finished.copy(tmp_path_factory.mktemp("both"))
    home.search(BUDGET, tiny().with_method("ft"))
    return home


def test_two_studies_are_shown_as_json_on_standard_output_alone(both: Home) -> None:
    ending = run(both.folder, *WORDS, "--format", "json")
    assert (ending.code, ending.err) == (0, f"wrote {PICTURE}\n")
    shown = json.loads(ending.out)
    compared = compare_fronts(both.study(), open_study(OTHER, both.url))
    assert shown["budget"] == BUDGET
    assert shown["hypervolume_reference"] == [0, 0, compared.box_rte]
    assert shown["enough_ta"] == compared.enough_ta
    assert shown["caveats"] == list(compared.caveats)
    for study, side in zip(shown["studies"], compared.sides, strict=True):
        figures = {key: value for key, value in vars(side).items() if key in study}
        trials = {key: getattr(side, key) for key in ("best_frm", "lowest_rte")}
        for key, trial in trials.items():
            assert study[key]["number"] == trial.number
            assert tuple(study[key]["values"].values()) == trial.values
        assert study.keys() == vars(side).keys()
        assert {**study, **trials} == figures


def test_two_studies_are_shown_as_csv(both: Home, invoke: Invoke) -> None:
    ending = invoke(both.folder, *WORDS, "--format", "csv")
    rows = list(csv.DictReader(ending.out.splitlines()))
    caveat, written = ending.err.splitlines()
    assert (ending.code, written) == (0, f"wrote {PICTURE}")
    assert f"{TRIALS} and {BUDGET} complete trials" in caveat
    assert [(row["study"], row["method"]) for row in rows] == [(NAME, "conmu"), (OTHER, "ft")]
    compared = compare_fronts(both.study(), open_study(OTHER, both.url))
    for row, side in zip(rows, compared.sides, strict=True):
        assert float(row["hypervolume_share"]) == side.hypervolume_share
        assert float(row["dominated"]) == side.dominated
        assert int(row["best_frm_trial"]) == side.best_frm.number
        assert float(row["lowest_rte_trial_rte"]) == side.lowest_rte.metrics["rte"]
        assert (int(row["budget"]), float(row["box_rte"])) == (BUDGET, compared.box_rte)


def test_two_studies_are_shown_as_a_table(both: Home, invoke: Invoke) -> None:
    ending = invoke(both.folder, *WORDS)
    compared = compare_fronts(both.study(), open_study(OTHER, both.url))
    lines = [line.strip() for line in ending.out.splitlines()]
    one, other = compared.sides
    expected = {
        "complete trials": [str(TRIALS), str(BUDGET)],
        "of these, dominated by the other": [f"{one.dominated:.0%}", f"{other.dominated:.0%}"],
        f"hypervolume of the first {BUDGET} trials": [
            f"{side.hypervolume_share_at_budget:.3f}" for side in compared.sides
        ],
    }
    for name, cells in expected.items():
        (line,) = (line for line in lines if line.startswith(name))
        assert line.removeprefix(name).split() == cells
    assert f"TA ≥ {compared.enough_ta:.2f} %: the highest TA that both reach" in ending.out
    assert all(caveat in ending.out for caveat in compared.caveats)
    assert f"RTE 0..{compared.box_rte:.3f} s, the cost of retraining" in ending.out


def test_the_picture_is_written_anew(both: Home, invoke: Invoke) -> None:
    file = both.folder / PICTURE
    file.parent.mkdir(exist_ok=True)
    file.write_text("old")
    assert invoke(both.folder, *WORDS).code == 0
    with Image.open(file) as picture:
        picture.verify()


def test_without_another_study_nothing_is_written(finished: Home, invoke: Invoke) -> None:
    before = finished.files()
    invoke(finished.folder, "show", "--study", NAME)
    assert finished.files() == before


@pytest.mark.parametrize("other", [NAME, "missing", "elsewhere", "empty"])
def test_what_cannot_be_compared_is_refused_and_nothing_written(
    finished: Home, tmp_path: Path, invoke: Invoke, other: str
) -> None:
    home = finished.copy(tmp_path / "home")
    record(home.url, "elsewhere", [(80, 0.5, 2)], identity={"data.name": "cifar10"})
    record(home.url, "empty", [None], identity=home.study().identity)
    before = home.files()
    ending = invoke(home.folder, "show", "--study", NAME, "--against", other)
    ending.assert_is_users_mistake()
    assert other in ending.err.splitlines()[0]
    assert home.files() == before


def test_the_differing_fields_are_named(finished: Home, tmp_path: Path, invoke: Invoke) -> None:
    home = finished.copy(tmp_path / "home")
    identity = {**home.study().identity, "name": "later", "recipe.epochs": 4}
    record(home.url, "later", [(80, 0.5, 2)], identity=identity)
    ending = invoke(home.folder, "show", "--study", NAME, "--against", "later")
    ending.assert_is_users_mistake()
    assert ending.err.splitlines()[0].endswith("of different problems: recipe.epochs is 3 and 4")


def test_one_of_several_studies_has_to_be_named(both: Home, invoke: Invoke) -> None:
    invoke(both.folder, "show", "--against", OTHER).assert_is_users_mistake()


def test_a_file_in_the_way_of_the_results_folder_is_told_before_anything(
    both: Home, tmp_path: Path, invoke: Invoke
) -> None:
    (tmp_path / NAME).write_text("mine")
    ending = invoke(tmp_path, *WORDS, "--storage", both.url)
    ending.assert_is_users_mistake()
    assert NAME in ending.err


def test_a_picture_that_cannot_be_written_is_told_beside_the_result(
    both: Home, tmp_path: Path, invoke: Invoke
) -> None:
    (tmp_path / PICTURE).mkdir(parents=True)
    ending = invoke(tmp_path, *WORDS, "--storage", both.url)
    assert (ending.code, ending.out) == (0, invoke(both.folder, *WORDS).out)
    assert f"no pictures and tables: cannot write into {NAME}" in ending.err
