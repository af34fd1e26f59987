"""Folders to keep files in: on this machine, or at any URL that fsspec has a driver for."""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fsspec.core import url_to_fs
from fsspec.utils import get_protocol

from pareto.urls import shown
from unlearn.errors import InputError, first_line


def absolute(url: str) -> str:
    """A place by a name that means the same in every working folder; `~` is the user's home."""
    return url if "://" in url else os.path.abspath(os.path.expanduser(url))


class Place:
    """A folder that programs on several machines may share.

    The driver is started anew for every access: connections do not outlast hours of training,
    listings of folders are remembered, and not every driver may be used by two threads.

    Every method but `local_path` raises InputError if the place does not let it do its work.
    """

    def __init__(self, url: str) -> None:
        """
        Args:
            url: `s3://bucket/folder`, `ftp://user:password@host/folder`, …; without a protocol, a
                path on this machine.
        """
        self._url = url

    def __str__(self) -> str:
        return shown(self._url)

    def check(self) -> None:
        """Make sure that files can be kept here, leaving nothing behind: not even the folder."""
        with self._access("write into", "") as (files, folder):
            while _has_folders(files) and folder.strip("/") and _kind(files, folder) is None:
                folder = files._parent(folder)
            probe = f"{folder.rstrip('/')}/.pareto-search-{uuid.uuid4().hex}"
            files.pipe_file(probe, b"")
            files.rm_file(probe)

    def local_path(self, name: str) -> Path | None:
        """Where a file lies on this machine, if the place is here."""
        if get_protocol(self._url) not in ("file", "local"):
            return None
        _, folder = url_to_fs(self._url)
        return Path(folder, name)

    def make_folder(self, name: str) -> None:
        """Make a folder, and those that it lies in; a bucket is for the user to make."""
        with self._access("write into", name) as (files, folder):
            if _has_folders(files):
                _make_folder(files, folder)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is no such file."""
        with self._access("read", name) as (files, file):
            try:
                return bytes(files.cat_file(file))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, or write it anew. A reader, or a crash, may find half of it."""
        with self._access("write", name) as (files, file):
            files.pipe_file(file, content)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if self.read(name) is None:  # a driver may fail, in its own way, where there is none
            return
        with self._access("remove", name) as (files, file):
            files.rm_file(file)

    @contextmanager
    def explained(self, verb: str, name: str) -> Iterator[None]:
        """Raise what goes wrong in the block as an InputError: `cannot <verb> <name>: <why>`."""
        try:
            yield
        except ImportError as error:
            raise InputError(
                f"{self} needs a package that is not installed: {first_line(error)}",
                "install that package, or choose another place",
            ) from None
        except Exception as error:  # each driver has exceptions of its own
            reason = _without_password(
                first_line(getattr(error, "strerror", None) or error), self._url
            )
            here = self.local_path(name) is not None
            raise InputError(
                f"cannot {verb} {f'{self}/{name}'.rstrip('/')}: {reason}",
                f"check {'the path' if here else 'the address, the credentials'}, and that there is"
                " room",
            ) from None

    @contextmanager
    def _access(self, verb: str, name: str) -> Iterator[tuple[Any, str]]:
        """A driver, freshly started, and the path that it knows a file or folder by."""
        with self.explained(verb, name):
            files, folder = url_to_fs(self._url, skip_instance_cache=True)
            yield files, f"{folder.rstrip('/')}/{name}"


def _has_folders(files: Any) -> bool:
    """Whether a file needs a folder to lie in; in a bucket, it has nothing but a name."""
    return bool(files.root_marker == "/")


def _make_folder(files: Any, folder: str) -> None:
    if not folder.strip("/") or _kind(files, folder) == "directory":
        return
    _make_folder(files, files._parent(folder))
    try:
        files.mkdir(folder, create_parents=False)
    except Exception:  # each driver has one of its own for a folder that is there by now
        if _kind(files, folder) != "directory":
            raise


def _kind(files: Any, path: str) -> str | None:
    """What there is at a path: a `file`, a `directory`, or None."""
    files.invalidate_cache()
    try:
        return str(files.info(path)["type"])
    except (FileNotFoundError, NotADirectoryError):
        return None


def _without_password(said: str, url: str) -> str:
    """What a driver said, without the URL's password, or pieces of one that it has cut wrongly."""
    password = re.search(r"//[^/@:]*:(.*)@", url)
    if password:
        whole = password[1]
        for secret in (whole, unquote(whole), *re.split("[/:@?#]", whole)):
            said = said.replace(secret, "***") if secret else said
    return said
