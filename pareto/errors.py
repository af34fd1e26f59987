"""Endings that are nobody's mistake in what was asked: exit code 1."""

from unlearn.errors import UserFacingError


class SearchError(UserFacingError):
    """The input was right, but the work could not be done."""


class EngineError(SearchError):
    """The engine itself cannot work, as opposed to a trial that fails."""


class StorageError(SearchError):
    """A storage that was opened does not keep what it is given any more."""


class OnlyFailures(SearchError):
    """Trials fail one after the other; the search was stopped."""


class TrialFails(SearchError):
    """A complete trial did not succeed when it was run again."""
