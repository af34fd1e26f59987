"""Storage URLs: what is one, and what is said of the others."""

from pathlib import Path

import pytest

from pareto import storages
from unlearn.errors import InputError


@pytest.mark.parametrize(
    "url",
    [
        "",
        "studies.db",
        "sqlite://studies.db",
        "sqlite:studies.db",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///studies.db?mode=ro",
        "SQLITE:///studies.db",
        "journal.log",
        "journal:///",
        "postgresql://localhost",
        "postgresql://localhost:port/studies",
        "mysql://",
        "oracle://localhost/studies",
        "https://example.org/studies.db",
    ],
)
def test_what_is_no_storage_url_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="URL") as caught:
        storages.exists(url)
    assert "sqlite:///FILE" in caught.value.remedy


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_url_names_a_relative_or_an_absolute_file(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storages.connect(f"{kind}:///relative", writable=True)
    storages.connect(f"{kind}:///{tmp_path}/absolute", writable=True)
    assert Path("relative").is_file()
    assert (tmp_path / "absolute").is_file()


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_folder_is_no_storage(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        storages.exists(f"{kind}:///{tmp_path}")


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_name_that_no_file_can_have_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be opened: File name too long"):
        storages.exists(f"{kind}:///{tmp_path}/{'x' * 300}")


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_storage_in_a_missing_folder_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        storages.exists(f"{kind}:///{tmp_path}/missing/studies")


@pytest.mark.parametrize("port", ["1", "port", "99999999"])
def test_messages_about_a_server_have_no_password(port: str) -> None:
    with pytest.raises(InputError) as caught:
        storages.connect(f"postgresql://user:s3cr3t@127.0.0.1:{port}/studies", writable=True)
    assert "s3cr3t" not in caught.value.problem + caught.value.remedy
    assert "\n" not in caught.value.problem
