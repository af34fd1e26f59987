"""Calls of a storage that does not answer."""

import pytest
from optuna.storages import InMemoryStorage

from pareto.errors import StorageError
from pareto.storages import _guard


class _Gone(InMemoryStorage):
    """A storage whose place is gone, whenever it is asked for a trial."""

    asked = 0

    def get_trial(self, trial_id: int) -> object:  # type: ignore[override]
        self.asked += 1
        raise OSError("the place is gone")


def test_a_call_within_a_call_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_guard, "OUTAGE_SECONDS", _guard.RETRY_SECONDS)
    storage = _Gone()
    _guard.guard(storage, "place", True, lambda _message: None)
    with pytest.raises(StorageError, match="the place is gone"):
        storage.get_trial_user_attrs(0)  # of Optuna, it calls `get_trial`
    assert storage.asked == 2  # at once, and after the patience
