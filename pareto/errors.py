"""Endings that are nobody's mistake in what was asked: exit code 1."""


class SearchError(Exception):
    """The input was right, but the work could not be done.

    Args:
        problem: one line saying what went wrong.
        remedy: one line saying what to do about it.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return self.problem


class EngineError(SearchError):
    """The engine itself cannot work, as opposed to a trial that fails."""


class OnlyFailures(SearchError):
    """Trials fail one after the other; the search was stopped."""


class TrialFails(SearchError):
    """A complete trial did not succeed when it was run again."""
