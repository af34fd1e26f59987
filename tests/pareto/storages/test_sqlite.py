"""SQLite: what is a file of studies, and what happens to one that is not."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage

from pareto import storages
from pareto.errors import StorageError
from pareto.storages._sqlite import SqliteBackend
from tests.pareto.processes import run_at_once
from unlearn.errors import InputError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "studies.db"


@pytest.fixture
def url(file: Path) -> str:
    return f"sqlite:///{file}"


def execute(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_an_empty_file_is_no_storage_yet(file: Path, url: str) -> None:
    file.touch()
    assert not storages.exists(url)


def test_an_empty_file_becomes_a_storage(file: Path, url: str) -> None:
    file.touch()
    storages.connect(url, writable=True)
    assert storages.exists(url)


@pytest.mark.parametrize("name", ["a{b}", "{", "100 %", "a b#c", "ö"])
def test_a_name_may_hold_any_sign(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    url = f"sqlite:///{folder}/{name}.db"
    create_study((url, "study"))
    assert [path.name for path in folder.glob("*.db")] == [f"{name}.db"]
    assert storages.connect(url, writable=False).get_all_studies()


def without_privileges(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python as somebody whom the permissions of files bind: for root they mean nothing."""
    powers = ("dac_override", "dac_read_search", "fowner")
    less = ["setpriv", f"--bounding-set={','.join(f'-{power}' for power in powers)}"]
    command = [*(less if os.getuid() == 0 else []), sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_file_that_may_only_be_read_is_refused_to_writers_at_once(file: Path, url: str) -> None:
    create_study((url, "study"))
    file.chmod(0o444)
    code = f"from pareto import storages; storages.connect({url!r}, writable=True)"
    ended = without_privileges(code)
    assert "InputError" in ended.stderr
    assert "readonly" in ended.stderr
    file.chmod(0o644)
    assert without_privileges(code).stderr == ""


def test_a_storage_in_a_folder_that_may_only_be_read_can_be_read(file: Path, url: str) -> None:
    storage = storages.connect(url, writable=True)
    optuna.create_study(study_name="study", storage=storage)
    close(storage)
    assert os.listdir(file.parent) == [file.name]  # nothing of SQLite's own that helps readers
    file.chmod(0o444)
    file.parent.chmod(0o555)
    try:
        ended = without_privileges(
            f"""if True:
            from pareto import storages
            studies = storages.connect({url!r}, writable=False).get_all_studies()
            print([study.study_name for study in studies])
            """
        )
    finally:
        file.parent.chmod(0o755)
    assert (ended.stdout, ended.stderr) == ("['study']\n", "")


def test_a_file_that_is_damaged_is_told_of(file: Path, url: str) -> None:
    create_study((url, "shared"))
    write_trials((url, 3))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
        root, size = (
            connection.execute(query).fetchone()[0]
            for query in (
                "select rootpage from sqlite_master where name = 'trial_user_attributes'",
                "pragma page_size",
            )
        )
    with file.open("r+b") as pages:
        pages.seek((root - 1) * size)
        pages.write(b"\xff" * size)
    storage = storages.connect(url, writable=False)
    with pytest.raises(StorageError, match="malformed"):
        optuna.load_study(study_name="shared", storage=storage).get_trials()


def test_creating_leaves_no_drafts(file: Path, url: str) -> None:
    close(storages.connect(url, writable=True))
    assert os.listdir(file.parent) == [file.name]


def close(storage: BaseStorage) -> None:
    """Let SQLite put everything into the file."""
    assert isinstance(storage, optuna.storages._CachedStorage)
    storage._backend.engine.dispose()


@pytest.mark.parametrize("writable", [True, False])
def test_a_file_that_is_no_database_is_refused_and_kept(
    file: Path, url: str, writable: bool
) -> None:
    file.write_text("[requirements]\n" * 100)
    with pytest.raises(InputError, match="file is not a database"):
        storages.connect(url, writable=writable)
    assert file.read_text() == "[requirements]\n" * 100


@pytest.mark.parametrize("writable", [True, False])
def test_a_database_of_something_else_is_refused_and_kept(
    file: Path, url: str, writable: bool
) -> None:
    execute(file, "create table recipes (name text)")
    before = file.read_bytes()
    with pytest.raises(InputError, match="not of studies"):
        storages.connect(url, writable=writable)
    assert file.read_bytes() == before


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        "update version_info set schema_version = 1",
        "delete from version_info",
        "update alembic_version set version_num = 'v2.6.0.a'",
    ],
)
def test_a_storage_of_another_schema_is_refused_with_the_way_to_upgrade_it(
    url: str, file: Path, change: str, writable: bool
) -> None:
    close(storages.connect(url, writable=True))
    execute(file, change)
    with pytest.raises(InputError, match="another storage schema") as caught:
        storages.connect(url, writable=writable)
    assert "optuna storage upgrade" in caught.value.remedy


def test_reading_changes_nothing(file: Path, url: str) -> None:
    writer = storages.connect(url, writable=True)
    optuna.create_study(study_name="known", storage=writer)
    close(writer)
    before = file.read_bytes()
    reader = storages.connect(url, writable=False)
    assert optuna.get_all_study_names(reader) == ["known"]
    close(reader)
    assert os.listdir(file.parent) == [file.name]
    assert file.read_bytes() == before


def test_a_copy_of_the_file_alone_is_the_whole_storage(
    file: Path, url: str, tmp_path: Path
) -> None:
    writer = storages.connect(url, writable=True)
    optuna.create_study(study_name="known", storage=writer)
    close(writer)
    shutil.copy(file, tmp_path / "copy.db")
    copy = storages.connect(f"sqlite:///{tmp_path}/copy.db", writable=False)
    assert optuna.get_all_study_names(copy) == ["known"]


def create_study(place: tuple[str, str]) -> None:
    url, name = place
    optuna.create_study(study_name=name, storage=storages.connect(url, writable=True))


def test_processes_that_create_a_storage_at_once_all_end_up_in_one(url: str) -> None:
    names = [f"study-{number}" for number in range(4)]
    run_at_once(create_study, [(url, name) for name in names])
    assert sorted(optuna.get_all_study_names(storages.connect(url, writable=False))) == names


def test_a_storage_created_by_someone_else_in_the_meantime_is_kept(file: Path, url: str) -> None:
    other = storages.connect(url, writable=True)
    optuna.create_study(study_name="known", storage=other)
    close(other)
    SqliteBackend(file).create()
    assert optuna.get_all_study_names(storages.connect(url, writable=False)) == ["known"]


def write_trials(place: tuple[str, int]) -> None:
    """Read and write by turns, as drivers do."""
    url, count = place
    study = optuna.load_study(
        study_name="shared",
        storage=storages.connect(url, writable=True),
        sampler=optuna.samplers.RandomSampler(),
    )
    for _ in range(count):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        trial.set_user_attr("y", 1)
        study.tell(trial, 1.0)


def test_processes_that_write_at_once_wait_for_each_other(url: str) -> None:
    optuna.create_study(study_name="shared", storage=storages.connect(url, writable=True))
    run_at_once(write_trials, [(url, 8)] * 3)
    study = optuna.load_study(study_name="shared", storage=storages.connect(url, writable=False))
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE"] * 24
    assert [trial.number for trial in study.get_trials()] == list(range(24))
