"""Which definition a name means."""

from pathlib import Path

import pytest

from pareto.definitions import find_definition
from tests.pareto.home import NAME, Home, tiny
from unlearn.errors import InputError


def test_a_persisted_study_is_found_by_its_name(finished: Home) -> None:
    assert find_definition(NAME, finished.url) == tiny()


def test_a_definition_file_is_found_although_the_storage_has_a_study(finished: Home) -> None:
    assert find_definition(str(finished.folder / "tiny.toml"), finished.url) == tiny()


def test_a_built_in_study_is_found_without_a_storage(tmp_path: Path) -> None:
    assert find_definition("digits", f"sqlite:///{tmp_path}/none.db").name == "digits"
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_is_no_problem_to_search(compared: Home) -> None:
    with pytest.raises(InputError, match=r"is a comparison, and no problem to search"):
        find_definition(f"{NAME}-compare", compared.url)
