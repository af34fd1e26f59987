"""From a built-in name or a TOML file to a definition."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from studies.definition import Definition, describe_error
from unlearn.errors import InputError


def builtin_names() -> list[str]:
    """The names of the definitions that come with the package."""
    files = resources.files("studies").iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def load(name_or_path: str | Path) -> Definition:
    """Load a built-in definition by name, or a definition file by path.

    A path ends in `.toml`; paths inside the file are relative to the file's folder.

    Raises:
        InputError: there is none, it is no TOML, or a field is wrong (which one is named).
    """
    name = str(name_or_path)
    if name in builtin_names():
        text = resources.files("studies").joinpath(f"{name}.toml").read_text("utf-8")
        return _parse(text, name, Path.cwd())
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise InputError(
            f"no study is called {name!r}",
            f"use a built-in one ({', '.join(builtin_names())}), a persisted one"
            " (see `pareto-search list`), or a .toml file",
        )
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"cannot read {path}: {reason}", "check the path") from None
    return _parse(text, str(path), path.parent.resolve())


def _parse(text: str, source: str, folder: Path) -> Definition:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source} is not valid TOML: {error}", "correct that line") from None
    return validate(_with_absolute_paths(content, folder), source)


def validate(content: dict[str, Any], source: str) -> Definition:
    """A definition from its parsed content.

    Raises:
        InputError: naming `source` and the field that is wrong.
    """
    try:
        return Definition.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"{source}: {describe_error(error)}", "correct that field of the definition"
        ) from None


def _with_absolute_paths(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    data, request = content.get("data"), content.get("request")
    if isinstance(data, dict) and str(data.get("name", "")).startswith("folder:"):
        path = folder / _expanded(data["name"].removeprefix("folder:"))
        content = {**content, "data": {**data, "name": f"folder:{path}"}}
    if isinstance(request, dict) and isinstance(request.get("file"), str):
        path = folder / _expanded(request["file"])
        content = {**content, "request": {**request, "file": str(path)}}
    return content


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path} names a user without a home", "check the path") from None
