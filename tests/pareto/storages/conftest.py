"""One place for studies of every kind."""

from pathlib import Path

import pytest

from tests.pareto.servers import KINDS, Servers


@pytest.fixture(params=["sqlite", "journal", "postgresql", "mysql"])
def place(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> str:
    """The URL of a place of every kind where no study is kept yet."""
    return servers.new_place(request.param, tmp_path)


@pytest.fixture(params=list(KINDS))
def database(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> str:
    """The URL of an empty database of every kind of server."""
    return servers.new_place(request.param, tmp_path)
