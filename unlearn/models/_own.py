"""The user's own models: `module:factory` or `path/to/file.py:factory`.

Such a name and a folder are all that is kept of a model, so that any process can make it again.
What its code prints goes to standard error: results stand alone on standard output.
"""

import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from torch import nn

from unlearn.errors import InputError, in_one_line
from unlearn.files import file_sha256, read_bytes
from unlearn.models._imports import modules, names_in

REMEDY = "name MODULE:FUNCTION or FILE.py:FUNCTION; it is called with the number of classes"
GUARD = "put what it does as a program under: if __name__ == '__main__'"


def own_factory(name: str, folder: str) -> Callable[[int], object]:
    """Import the user's factory.

    Args:
        name: `module:factory`, or `file.py:factory`. While it is imported, and while it is called
            by `own_model`, the folder, or the one that the file lies in, is first on Python's path.
        folder: absolute; a relative file belongs to it.

    Raises:
        InputError: there is no such module or factory.
    """
    source, _, attribute = name.rpartition(":")
    module = _module(source, folder)
    factory: object = getattr(module, attribute, None)
    if not callable(factory):
        raise InputError(f"{module.__file__} has no function called {attribute!r}", REMEDY)
    return factory


def own_model(factory: Callable[[int], object], name: str, folder: str, classes: int) -> nn.Module:
    """Call the user's factory with the number of classes.

    Raises:
        InputError: it raises, or makes no module.
    """
    try:
        with _first_on_path(_home(name.rpartition(":")[0], folder)), redirect_stdout(sys.stderr):
            model = factory(classes)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{name} fails when called with {classes}: {in_one_line(error)}", "correct it"
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(
            f"{name} makes a {type(model).__name__}, not a model", "return a torch.nn.Module"
        )
    return model


def source_files(name: str, folder: str) -> dict[str, str]:
    """The SHA-256 of the file that the factory stands in, and of each that it imports from where it
    lies, by their paths from there.

    Raises:
        InputError: there is no such module, or a file cannot be read.
    """
    source = name.rpartition(":")[0]
    home = Path(_home(source, folder))
    file = Path(str(_module(source, folder).__file__))
    if source.endswith(".py"):
        files = {file, *modules(names_in(file), home).values()}
    else:
        files = set(modules([tuple(source.split("."))], home).values())
    if not files:  # it is installed
        return {file.name: file_sha256(file)}
    return {path.relative_to(home).as_posix(): file_sha256(path) for path in sorted(files)}


def _home(source: str, folder: str) -> str:
    return str((Path(folder) / source).parent) if source.endswith(".py") else folder


def _module(source: str, folder: str) -> ModuleType:
    try:
        with _first_on_path(_home(source, folder)), redirect_stdout(sys.stderr):
            if source.endswith(".py"):
                return _run_file(Path(folder) / source)
            importlib.invalidate_caches()
            module = importlib.import_module(source)
    except InputError:
        raise
    except SystemExit as error:
        raise InputError(f"{source} ends the program when it is imported", GUARD) from error
    except Exception as error:
        raise InputError(f"{source} cannot be imported: {in_one_line(error)}", REMEDY) from error
    file = module.__file__
    if file is None:
        raise InputError(f"{source} is a folder without a module", REMEDY)
    lies_there = PathFinder.find_spec(source.partition(".")[0], [folder]) is not None
    if lies_there and not Path(file).resolve().is_relative_to(Path(folder).resolve()):
        raise InputError(
            f"{source} is not taken from {folder}: {file} has the same name and came first",
            "rename it, or name its file: FILE.py:FUNCTION",
        )
    return module


def _run_file(file: Path) -> ModuleType:
    """The module of a file; its name in `sys.modules` tells path and content, so that files of one
    name, or one that has been edited, are not mistaken for each other."""
    content = read_bytes(file)
    digest = hashlib.sha256(str(file).encode() + b"\0" + content).hexdigest()
    name = f"{file.stem}_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        exec(compile(content, str(file), "exec"), module.__dict__)
        _refuse_strangers(file)
    except BaseException:  # whatever ended it, half a module is no module
        del sys.modules[name]
        raise
    return module


def _refuse_strangers(file: Path) -> None:
    """Make sure that what a file has imported from beside it is not of the same name elsewhere.

    Raises:
        InputError: it is.
    """
    for name, beside in modules(names_in(file), file.parent).items():
        loaded = getattr(sys.modules.get(name), "__file__", None)
        if loaded is None or beside == file or name.partition(".")[0] in sys.stdlib_module_names:
            continue  # of Python's own modules everybody gets that one
        if Path(loaded).resolve() != beside.resolve():
            raise InputError(
                f"{file} imports {name}, and gets {loaded}, which came first, instead of {beside}",
                "rename one of them",
            )


@contextmanager
def _first_on_path(folder: str) -> Iterator[None]:
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
