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

    def __str__(self) -> str:
        return self.problem


class InputError(UserFacingError):
    """Something the user supplied is wrong: a flag, a file, a definition, a request."""
