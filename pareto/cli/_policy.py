"""Requirements as the user states them: on the command line, and in files."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from unlearn.errors import InputError
from unlearn.files import read_text


def stated(require: Sequence[str], policy: Path | None) -> list[str]:
    """All requirements: those of the command line, then those of the policy file.

    Raises:
        InputError: the file cannot be read, or is not of the form.
    """
    return [*require, *(read_policy(policy) if policy else ())]


def read_policy(file: Path) -> list[str]:
    """The requirements of a policy file.

    Raises:
        InputError: it cannot be read, or is not of the form.
    """
    remedy = 'write a table [requirements] with lines like: private = "frm >= 0.8"'
    try:
        content = tomllib.loads(read_text(file))
    except ValueError as error:  # of numbers without end, too
        raise InputError(f"{file} is not valid TOML: {error}", "correct that line") from None
    table = content.get("requirements")
    if not isinstance(table, dict) or not table:
        raise InputError(f"{file} has no requirements", remedy)
    if others := content.keys() - {"requirements"}:
        others_named = ", ".join(sorted(others))
        raise InputError(f"{file} has {others_named} beside the table [requirements]", remedy)
    for name, condition in table.items():
        if not isinstance(condition, str):
            raise InputError(f"{file}: {name} is no text", remedy)
    return list(table.values())
