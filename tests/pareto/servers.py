"""Real database servers, started from what is installed on this machine, gone afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from glob import glob
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlalchemy

REQUIRED = "PARETO_SEARCH_TEST_SERVERS"
"""Set to `required` where the tests that need a server must not be skipped."""

SECONDS = 60


class NotInstalled(Exception):
    """The server's programs are not on this machine."""


class Kind(NamedTuple):
    """What a server needs: Debian's package, its programs, and the system's user for root's use."""

    package: str
    user: str
    programs: str
    install: Sequence[str]
    serve: Sequence[str]
    url: str
    own_database: str
    stop: signal.Signals


KINDS = {
    "postgresql": Kind(
        "postgresql",
        "postgres",
        "/usr/lib/postgresql/*/bin",
        ["initdb", "-D", "{data}", "-A", "trust", "-U", "tester"],
        [
            "postgres",
            "-D",
            "{data}",
            "-p",
            "{port}",
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories={folder}",
            "-c",
            "fsync=off",
        ],
        "postgresql+psycopg://tester@127.0.0.1:{port}/",
        "postgres",
        signal.SIGINT,
    ),
    "mysql": Kind(
        "mariadb-server",
        "mysql",
        "/usr/sbin:/usr/bin",
        ["mariadb-install-db", "--no-defaults", "--datadir={data}", "--skip-test-db"],
        [
            "mariadbd",
            "--no-defaults",
            "--datadir={data}",
            "--port={port}",
            "--bind-address=127.0.0.1",
            "--socket={folder}/socket",
            "--pid-file={folder}/pid",
            "--tmpdir={folder}",  # one that starts empties it, of another's temporary tables too
            "--skip-grant-tables",
        ],
        "mysql+pymysql://tester@127.0.0.1:{port}/",
        "mysql",
        signal.SIGTERM,
    ),
}


class Server:
    """A server with nothing in it but what a test puts there."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind = KINDS[kind]
        self._folder = folder
        with socket.socket() as any_free:
            any_free.bind(("127.0.0.1", 0))
            self._port = any_free.getsockname()[1]
        if os.getuid() == 0:  # such servers refuse to run as root
            shutil.chown(folder, self._kind.user, self._kind.user)
        self._start(self._kind.install).wait()
        self.start()

    def url(self, database: str) -> str:
        """Names a database, as a user does."""
        return self._kind.url.format(port=self._port) + database

    def new_database(self, name: str) -> str:
        """Create a database; returns its URL."""
        self._execute(f"create database {name}")
        return self.url(name)

    def start(self) -> None:
        self._process = self._start(self._kind.serve)
        given_up = time.monotonic() + SECONDS
        while True:
            try:
                return self._execute("select 1")
            except sqlalchemy.exc.OperationalError:
                if time.monotonic() > given_up or self._process.poll() is not None:
                    self._process.kill()
                    raise
                time.sleep(0.1)

    def stop(self) -> None:
        """Stop it without waiting for its clients; what was committed is there after a start."""
        self._process.send_signal(self._kind.stop)
        self._process.wait(SECONDS)

    def _execute(self, statement: str) -> None:
        engine = sqlalchemy.create_engine(
            self.url(self._kind.own_database), isolation_level="AUTOCOMMIT"
        )
        try:
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text(statement))
        finally:
            engine.dispose()

    def _command(self, words: Sequence[str]) -> list[str]:
        paths = [path for part in self._kind.programs.split(":") for path in sorted(glob(part))]
        program = shutil.which(words[0], path=":".join(reversed(paths)))
        if program is None:
            raise NotInstalled(f"{words[0]} is not installed (Debian: {self._kind.package})")
        values = {"data": self._folder / "data", "folder": self._folder, "port": self._port}
        command = [program, *(word.format(**values) for word in words[1:])]
        return command if os.getuid() else ["setpriv", *self._as_user(), *command]

    def _as_user(self) -> list[str]:
        user = self._kind.user
        return [f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]

    def _start(self, words: Sequence[str]) -> "subprocess.Popen[bytes]":
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                self._command(words), stdout=log, stderr=subprocess.STDOUT, cwd=self._folder
            )


@contextmanager
def running(kind: str) -> Iterator[Server]:
    """A server of this kind for the time of the block.

    Raises:
        NotInstalled: it is not on this machine.
    """
    folder = Path(tempfile.mkdtemp(prefix="pareto-server-"))
    try:
        server = Server(kind, folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@contextmanager
def running_or_skipped(kind: str) -> Iterator[Server]:
    """The same for a test, which is skipped, saying why, where there is no such server."""
    try:
        with running(kind) as server:
            yield server
    except NotInstalled as missing:
        if os.environ.get(REQUIRED) == "required":
            raise
        pytest.skip(str(missing))


class Servers:
    """The database servers, each started when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[str, Server] = {}

    def __getitem__(self, kind: str) -> Server:
        if kind not in self._running:
            self._running[kind] = self._stack.enter_context(running_or_skipped(kind))
        return self._running[kind]

    def new_place(self, kind: str, folder: Path) -> str:
        """The URL of a place where no study is kept yet."""
        if kind in KINDS:
            return self[kind].new_database(f"studies_{uuid.uuid4().hex}")
        return f"{kind}:///{folder}/studies.{kind}"
