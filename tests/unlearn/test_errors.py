"""The exception for the user's mistakes."""

from unlearn.errors import InputError


def test_it_reads_as_the_problem_and_carries_the_remedy() -> None:
    error = InputError("there is no index file x", "check the path")
    assert str(error) == "there is no index file x"
    assert error.remedy == "check the path"
