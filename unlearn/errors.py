"""The one exception for mistakes in what the user gave us."""


class InputError(Exception):
    """Something the user supplied is wrong: a flag, a file, a definition, a request.

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
