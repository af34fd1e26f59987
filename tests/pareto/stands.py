"""Real places of every kind to keep files in, and what lies behind them."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

KINDS = ["path", "file", "memory", "ftp"]
PASSWORD = "s3cret"
ALL_RIGHTS = "elradfmwMT"
READ_ONLY = "elr"


@dataclass(frozen=True)
class Stand:
    """A place, and a way to its files that does not lead through the place.

    Attributes:
        url: as a user gives it.
        root: what it names, in a file system of fsspec.
    """

    url: str
    files: Any
    root: str

    def read(self, name: str) -> bytes:
        return bytes(self.files.cat_file(f"{self.root}/{name}"))

    def write(self, name: str, content: bytes) -> None:
        self.files.pipe_file(f"{self.root}/{name}", content)

    def remove(self, name: str) -> None:
        self.files.rm_file(f"{self.root}/{name}")

    def names(self) -> set[str]:
        """All that lies there, at any depth; folders too, where there are folders."""
        found = self.files.find(self.root, withdirs=True)
        return {name.removeprefix(self.root).strip("/") for name in found} - {""}


@contextmanager
def stand(kind: str, folder: Path) -> Iterator[Stand]:
    """An existing place of a kind, and nothing in it."""
    if kind == "path":
        yield Stand(str(folder), fsspec.filesystem("file"), str(folder))
    elif kind == "file":
        yield Stand(folder.as_uri(), fsspec.filesystem("file"), str(folder))
    elif kind == "memory":
        files, root = fsspec.filesystem("memory"), f"/{uuid.uuid4().hex}"
        files.mkdir(root)
        yield Stand(f"memory:/{root}", files, root)
        files.rm(root, recursive=True)
    else:
        with ftp_server(folder) as url:
            yield Stand(url, fsspec.filesystem("file"), str(folder))


@contextmanager
def ftp_server(folder: Path, rights: str = ALL_RIGHTS) -> Iterator[str]:
    """The URL of a folder's FTP server, which other processes reach too."""

    class Handler(FTPHandler):  # type: ignore[misc]
        authorizer = DummyAuthorizer()
        auth_failed_timeout = 0

    Handler.authorizer.add_user("user", PASSWORD, str(folder), perm=rights)
    server = FTPServer(("127.0.0.1", 0), Handler)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            server.serve_forever(timeout=0.02, blocking=False)
        server.close_all()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"ftp://user:{PASSWORD}@127.0.0.1:{server.address[1]}"
    finally:
        ended.set()
        thread.join()
