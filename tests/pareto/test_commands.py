"""Commands that users are told to run."""

import pytest

from pareto.commands import STORAGE_VARIABLE, study_command
from pareto.storages import DEFAULT_URL

SERVER = "postgresql://me:s3cr3t@db/studies"


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STORAGE_VARIABLE, raising=False)


def test_a_command_is_quoted_as_a_shell_needs_it() -> None:
    told = study_command("pick", "my study", DEFAULT_URL, "--require", "ta > 1", "--trial", 3)
    assert told == "pareto-search pick --study 'my study' --require 'ta > 1' --trial 3"


def test_the_search_has_no_name() -> None:
    assert study_command("", "mine", DEFAULT_URL) == "pareto-search --study mine"


@pytest.mark.parametrize(
    ("storage", "variable", "told"),
    [
        ("sqlite:///other.db", None, " --storage sqlite:///other.db"),
        ("sqlite:///other.db", "sqlite:///other.db", ""),
        (DEFAULT_URL, "sqlite:///other.db", f" --storage {DEFAULT_URL}"),
        (SERVER, SERVER, ""),
        (SERVER, None, " --storage URL"),
    ],
)
def test_the_storage_is_named_unless_it_goes_without_saying(
    monkeypatch: pytest.MonkeyPatch, storage: str, variable: str | None, told: str
) -> None:
    if variable is not None:
        monkeypatch.setenv(STORAGE_VARIABLE, variable)
    assert study_command("show", "mine", storage) == f"pareto-search show --study mine{told}"
