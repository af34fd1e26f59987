"""What is told to the user: what is wrong, and what to do about it."""

from collections.abc import Sequence


class UserFacingError(Exception):
    """An ending that the user is told of in two lines and without a traceback.

    Args:
        problem: one line saying what is wrong, naming the offending thing.
        remedy: one line saying what to do about it.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy
        self.add_note(remedy)  # which stands under the problem in a traceback

    def __str__(self) -> str:
        return self.problem


class InputError(UserFacingError):
    """Something the user supplied is wrong: a flag, a file, a definition, a request."""


def first_line(said: object) -> str:
    """The first line of a text, or of what an exception says: the name of its type if nothing."""
    lines = str(said).strip().splitlines()
    return lines[0] if lines else type(said).__name__


def some(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def in_one_line(error: BaseException) -> str:
    """An exception's type and the first line of what it says."""
    kind, said = type(error).__name__, first_line(error)
    return kind if said == kind else f"{kind}: {said}"
