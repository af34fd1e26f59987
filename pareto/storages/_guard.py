"""What happens when a storage stops working: an outage is waited out, anything else ends the
search with a clear error. Either way the study can be gone on with."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pareto.errors import StorageError
from pareto.storages._backend import Backend
from unlearn.errors import first_line

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

OUTAGE_SECONDS = 120.0
"""How long a server may be away before a search gives up."""

RETRY_SECONDS = 0.5

Announce = Callable[[str], None]


def guard(storage: "BaseStorage", backend: Backend, announce: Announce) -> None:
    """Let every call of a storage wait until its place answers, if that may come back.

    A call that failed is made again as a whole. One that was carried out although its answer got
    lost is then made twice; that does no harm but for a new trial, which is left unsigned and is
    taken over like one of a driver that died.

    From then on, its methods raise StorageError where the place does not work (any more).
    """
    watch = _Watch(backend, announce)
    for name in _public_methods():
        setattr(storage, name, watch.guarded(getattr(storage, name)))


def _public_methods() -> list[str]:
    from optuna.storages import BaseStorage

    return [name for name, of in vars(BaseStorage).items() if callable(of) and name[0] != "_"]


class _Watch:
    """One storage's state of health; shared by the threads that use it."""

    def __init__(self, backend: Backend, announce: Announce) -> None:
        self._backend, self._opened = backend, backend.identity()
        self._shown = backend.shown
        self._patience = OUTAGE_SECONDS if backend.may_come_back else 0.0
        self._announce = announce
        self._said = False

    def guarded(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            failed_since: float | None = None
            while True:
                try:
                    self._check_place()
                    result = method(*arguments, **named)
                except StorageError:
                    raise  # of another of these methods, which has waited already
                except Exception as error:
                    reason = trouble_with_place(error)
                    if reason is None:
                        if is_gone(method.__name__, error):
                            raise self._gone() from error
                        raise
                    now = time.monotonic()
                    # The first failure may only tell that the connection is an old one.
                    if failed_since is not None:
                        self._say_outage(reason)
                    failed_since = failed_since or now
                    if now - failed_since >= self._patience:
                        raise self._given_up(reason) from error
                    time.sleep(RETRY_SECONDS)
                else:
                    self._say_recovery()
                    return result

        return call

    def _check_place(self) -> None:
        """A file that was removed takes in what is written to it, and loses it."""
        if self._backend.identity() != self._opened:
            raise StorageError(
                f"{self._shown} was removed or replaced while it was in use",
                "put it back, and run the same command again",
            )

    def _say_outage(self, reason: str) -> None:
        if not self._said:
            self._said = True
            self._announce(
                f"the storage {self._shown} does not answer ({reason});"
                f" waiting for it for up to {self._patience:.0f} s"
            )

    def _say_recovery(self) -> None:
        if self._said:
            self._said = False
            self._announce("the storage answers again")

    def _gone(self) -> StorageError:
        return StorageError(
            f"another program has deleted or changed what was in use in {self._shown}",
            "see what is left with `pareto-search list`, and begin anew if the study is gone",
        )

    def _given_up(self, reason: str) -> StorageError:
        waited = f" for {self._patience:.0f} s" if self._patience else ""
        return StorageError(
            f"the storage {self._shown} has not worked{waited}: {reason}",
            "put that right; the same command then goes on from where the study stands",
        )


def trouble_with_place(error: BaseException) -> str | None:
    """In one line, what an exception says of the place that a storage lies at: that it cannot be
    reached, written, or is full or damaged. None if it says anything else."""
    from sqlalchemy.exc import (
        DatabaseError,
        DBAPIError,
        InterfaceError,
        InternalError,
        OperationalError,
    )

    cause: BaseException | None = error
    while cause is not None:
        if (
            # Internal: PostgreSQL's, of a server that may only be read, as after a failover.
            isinstance(cause, OperationalError | InterfaceError | InternalError)
            or (isinstance(cause, DBAPIError) and cause.connection_invalidated)
            or type(cause) is DatabaseError  # SQLite's, of a file that is damaged
        ):
            return said_by_library(cause)
        if isinstance(cause, OSError):
            return said_by_library(cause)
        cause = cause.__cause__
    return None


def is_gone(method: str, error: BaseException) -> bool:
    """Whether an exception says that a study, a trial or a table is not there any more.

    Args:
        method: of the storage; those that look for something may well find nothing.
    """
    from sqlalchemy.exc import ProgrammingError

    if isinstance(error, KeyError):
        return not method.startswith(("get_study_id", "get_trial_id"))
    return isinstance(error, ProgrammingError) or isinstance(error.__cause__, ProgrammingError)


def said_by_library(error: BaseException) -> str:
    """In one line; of what SQLAlchemy wraps, without its own words."""
    return first_line(getattr(error, "orig", None) or error)
