"""What is told to the user: what is wrong, and what to do about it."""


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


def in_one_line(error: BaseException) -> str:
    """An exception's type and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
