"""From a built-in name or a TOML file to a definition."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from studies.definition import Definition, validate
from unlearn.errors import InputError
from unlearn.files import read_text


def builtin_names() -> list[str]:
    """The names of the definitions that come with the package."""
    files = resources.files("studies").iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def load(name_or_path: str | Path) -> Definition:
    """Load a built-in definition by name, or a definition file by path.

    A path ends in `.toml`; paths inside the file are relative to the file's folder.

    Raises:
        InputError: there is none, it is no TOML, a field is wrong (which one is named), or a file
            has the name of a built-in one.
    """
    name = str(name_or_path)
    if name in builtin_names():
        text = resources.files("studies").joinpath(f"{name}.toml").read_text("utf-8")
        return _parse(text, name, Path.cwd())
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise InputError(
            f"no study is called {name!r}",
            "use a persisted one (see `pareto-search list`), a .toml file, or a built-in one:"
            f" {', '.join(builtin_names())}",
        )
    definition = _parse(read_text(path), str(path), path.parent.resolve())
    if definition.name in builtin_names():
        raise InputError(
            f"{path}: {definition.name!r} is the name of a built-in study",
            "give yours another name",
        )
    return definition


def _parse(text: str, source: str, folder: Path) -> Definition:
    try:
        content = tomllib.loads(text)
    except ValueError as error:  # of numbers without end, too
        raise InputError(f"{source} is not valid TOML: {error}", "correct that line") from None
    _make_paths_absolute(content, folder)
    return validate(content, source)


def _make_paths_absolute(content: dict[str, Any], folder: Path) -> None:
    if ":" in str(content.get("model")):
        content.setdefault("model_dir", ".")
    _make_absolute(content, "model_dir", folder)
    _make_absolute(content, "original", folder)
    _make_absolute(content.get("data"), "name", folder, prefix="folder:")
    _make_absolute(content.get("data"), "dir", folder)
    _make_absolute(content.get("request"), "file", folder)


def _make_absolute(section: Any, key: str, folder: Path, prefix: str = "") -> None:
    """Of a section that nobody has validated yet."""
    path = section.get(key) if isinstance(section, dict) else None
    if isinstance(path, str) and path.startswith(prefix):
        section[key] = f"{prefix}{folder / _expanded(path.removeprefix(prefix))}"


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path} names a user without a home", "check the path") from None
