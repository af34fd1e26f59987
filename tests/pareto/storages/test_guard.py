"""Calls of a storage that does not answer."""

from pathlib import Path

import pytest
import sqlalchemy
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection

from pareto import storages
from pareto.errors import StorageError
from pareto.storages import _guard
from pareto.storages._server import ServerBackend
from tests.pareto.cheap import open_ledger, run

SERVER = ServerBackend(sqlalchemy.make_url("postgresql://nowhere/studies"), "place")


class _Gone(InMemoryStorage):
    """A storage whose place is gone, whenever it is asked for a trial."""

    asked = 0

    def get_trial(self, trial_id: int) -> object:  # type: ignore[override]
        self.asked += 1
        raise OSError("the place is gone")


def test_a_call_within_a_call_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_guard, "OUTAGE_SECONDS", _guard.RETRY_SECONDS)
    storage = _Gone()
    _guard.guard(storage, SERVER, lambda _message: None)
    with pytest.raises(StorageError, match="the place is gone"):
        storage.get_trial_user_attrs(0)  # of Optuna, it calls `get_trial`
    assert storage.asked == 2  # at once, and after the patience


def test_what_another_program_has_deleted_is_told_of_and_not_waited_for() -> None:
    storage = InMemoryStorage()
    _guard.guard(storage, SERVER, lambda _message: None)
    study = storage.create_new_study([StudyDirection.MINIMIZE], "mine")
    trial = storage.create_new_trial(study)
    storage.delete_study(study)
    with pytest.raises(StorageError, match="another program has deleted") as caught:
        storage.set_trial_user_attr(trial, "key", 1)
    assert "pareto-search list" in caught.value.remedy
    with pytest.raises(KeyError):  # who looks for something may find nothing
        storage.get_study_id_from_name("mine")


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_file_that_is_removed_while_it_is_in_use_takes_nothing_in(
    tmp_path: Path, kind: str, is_replaced: bool
) -> None:
    file = tmp_path / "storage"
    ledger = open_ledger(storages.connect(f"{kind}:///{file}", writable=True))
    run(ledger, 1)
    away = file.rename(tmp_path / "away")
    if is_replaced:
        file.write_bytes(away.read_bytes())
    with pytest.raises(StorageError, match="was removed or replaced while it was in use"):
        run(ledger, 2)
    away.replace(file)
    run(ledger, 2)
    assert ledger.counts().complete == 2
