"""The exception for the user's mistakes."""

import pickle
import traceback

import pytest

from unlearn.errors import InputError

ERROR = InputError("there is no index file x", "check the path")


def test_it_reads_as_the_problem_and_carries_the_remedy() -> None:
    assert str(ERROR) == "there is no index file x"
    assert ERROR.remedy == "check the path"


@pytest.mark.parametrize("error", [ERROR, pickle.loads(pickle.dumps(ERROR))])
def test_a_traceback_ends_with_both(error: InputError) -> None:
    *_, problem, remedy = "".join(traceback.format_exception(error)).splitlines()
    assert problem == "unlearn.errors.InputError: there is no index file x"
    assert remedy == "check the path"
    assert error.__notes__ == ["check the path"]
