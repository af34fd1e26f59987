"""One place for studies of every kind."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.pareto.servers import KINDS, Server, running_or_skipped


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


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(params=["sqlite", "journal", "postgresql", "mysql"])
def place(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> str:
    """The URL of a place of every kind where no study is kept yet."""
    return servers.new_place(request.param, tmp_path)


@pytest.fixture(params=list(KINDS))
def database(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> str:
    """The URL of an empty database of every kind of server."""
    return servers.new_place(request.param, tmp_path)
