"""What every kind of storage can do."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


class Backend(Protocol):
    """A place for studies.

    Its methods raise InputError where the place is not what it should be, and the errors of their
    libraries (OSError, SQLAlchemyError, OptunaError) where it does not work.

    Attributes:
        shown: the place as messages name it, without a password.
        may_come_back: whether an error of the place may pass by itself, as a server's outage does.
    """

    shown: str
    may_come_back: bool

    def exists(self) -> bool:
        """Whether studies can be kept there already; nothing is created or changed."""

    def create(self) -> None:
        """Make it ready for studies, all at once: no other process ever sees half of it. To be
        found there already, made by another process, is as good."""

    def identity(self) -> object:
        """What it is at this moment: something else once it was removed, or another one has taken
        its place. A server's is always the same."""

    def clock(self) -> float:
        """What time it is there, in seconds since 1970."""

    def open(self, *, writable: bool) -> "BaseStorage":
        """Open what exists; fails at once if it shall be written and cannot be."""
