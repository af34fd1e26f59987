"""What code imports from the folder that it lies in, by its text alone: nothing is run."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

Parts = tuple[str, ...]
"""A dotted name, taken apart."""


def modules(names: Iterable[Parts], folder: Path) -> dict[str, Path]:
    """The files below a folder that these names mean, with all packages around them, and those that
    they import in turn, wherever in their code; by the names of the modules."""
    found: dict[str, Path] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        for parts in (name[:end] for end in range(1, len(name) + 1)):
            module, known = folder.joinpath(*parts), ".".join(parts)
            for file, package in (
                (module / "__init__.py", parts),
                (module.with_name(f"{parts[-1]}.py"), parts[:-1]),
            ):
                if known not in found and file.is_file():
                    found[known] = file
                    waiting += names_in(file, package)
    return found


def names_in(file: Path, package: Parts = ()) -> Iterator[Parts]:
    """What a file imports: names of modules, or of what stands in them.

    Args:
        package: that it belongs to, which relative names begin with.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # it imports nothing
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: max(len(package) - node.level + 1, 0)] if node.level else ()
            base = (*above, *(node.module.split(".") if node.module else ()))
            yield from ((*base, alias.name) for alias in node.names)
