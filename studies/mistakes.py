"""What is wrong with a definition, or with a method's parameters, in words."""

import re

from pydantic import ValidationError

NO_FIELD = "no_field"
"""The type of an error at a section that has a field which does not exist, `name`."""

NUMBERS = ("int", "float")
"""What pydantic calls the variants of a number."""


def describe_error(error: ValidationError, section: str = "") -> str:
    """The first mistake in one line, with the name of the field.

    Args:
        section: goes in front of the name.
    """
    first = error.errors()[0]
    # pydantic names the variant of a request, and of a number, too.
    loc = [part for part in first["loc"] if part not in ("random", "class", "indices", *NUMBERS)]
    where = ".".join(part for part in (section, *map(str, loc)) if part)
    message = re.sub(r"\s+", " ", first["msg"].removeprefix("Value error, "))
    context = first.get("ctx", {})
    if first["type"] == NO_FIELD:
        where = ".".join(filter(None, (where, context["name"])))
    elif first["type"] == "missing" and first["loc"] == ("recipe",):
        message = "is missing; the retrained models are trained by it, even if θ_o is given"
    elif first["loc"][-1:] and first["loc"][-1] in NUMBERS:
        tried = {
            each["loc"][-1] for each in error.errors() if each["loc"][:-1] == first["loc"][:-1]
        }
        message = "is neither a number nor a text" if "str" in tried else "is no finite number"
    elif first["type"] in ("model_type", "dict_type"):
        message = "has to be a table, such as { name = value }"
    elif first["type"] == "tuple_type":
        message = f"has to be a list; a list of tables is written as [[{where}]]"
    elif first["type"] == "union_tag_invalid":
        message = f"{context['tag']!r} is none of {context['expected_tags']}"
        where += ".kind"
    elif first["type"] == "union_tag_not_found":
        message = "has no kind"
    elif first["type"] == "string_pattern_mismatch":
        message = "begins with a letter or digit; more of these, and . _ - may follow, 99 at most"
    return f"{where}: {message}" if where else message
