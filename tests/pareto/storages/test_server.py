"""Database servers: what their databases hold, and what happens when they go away."""

import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from pareto import storages
from pareto.errors import StorageError
from pareto.ledger import Counts
from pareto.storages import _guard, _server
from pareto.storages._server import DRIVERS
from tests.pareto.cheap import open_ledger, run
from tests.pareto.servers import KINDS, Server, Servers, running_or_skipped
from unlearn.errors import InputError


def execute(url: str, *statements: str) -> list[str]:
    """Change a database by hand; returns the names of its tables."""
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sqlalchemy.text(statement))
    names = sqlalchemy.inspect(engine).get_table_names()
    engine.dispose()
    return sorted(names)


def test_other_tables_in_the_database_are_left_alone(database: str) -> None:
    execute(database, "create table recipes (name integer)", "insert into recipes values (7)")
    assert not storages.exists(database)
    run(open_ledger(storages.connect(database, writable=True)), 1)
    assert storages.exists(database)
    assert "recipes" in execute(database)


@pytest.mark.parametrize("writable", [True, False])
def test_a_table_of_ours_that_is_another_one_is_refused_and_nothing_changed(
    database: str, writable: bool
) -> None:
    execute(database, "create table trials (patient integer)")
    with pytest.raises(InputError, match="its table trials is another one"):
        storages.connect(database, writable=writable)
    assert execute(database) == ["trials"]


@pytest.mark.parametrize(
    "change",
    [
        "update alembic_version set version_num = 'v2.6.0.a'",
        "update version_info set schema_version = 1",
    ],
)
def test_a_storage_of_another_schema_is_refused_with_the_way_to_upgrade_it(
    database: str, change: str
) -> None:
    storages.connect(database, writable=True)
    before = execute(database, change)
    with pytest.raises(InputError, match="another storage schema") as caught:
        storages.connect(database, writable=True)
    assert "optuna storage upgrade" in caught.value.remedy
    assert execute(database) == before


def test_a_creation_that_was_cut_off_is_gone_on_with(database: str) -> None:
    storages.connect(database, writable=True)
    execute(database, "drop table trial_heartbeats", "drop table alembic_version")
    assert not storages.exists(database)
    run(open_ledger(storages.connect(database, writable=True)), 1)
    assert storages.exists(database)


@pytest.mark.parametrize("kind", ["mysql"])
def test_tables_that_another_program_is_creating_are_not_created_beside_it(
    servers: Servers, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_server, "CREATION_SECONDS", 1)
    url = servers.new_place(kind, tmp_path)
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as other:
        other.execute(sqlalchemy.text("select get_lock(:name, 0)"), {"name": _server.CREATION_LOCK})
        with pytest.raises(InputError, match="another program has been creating tables"):
            storages.connect(url, writable=True)
    engine.dispose()
    assert execute(url) == []
    storages.connect(url, writable=True)


def test_a_url_without_a_driver_means_the_one_that_its_extra_installs(database: str) -> None:
    kind, _, rest = database.partition("+")
    driver, _, rest = rest.partition(":")
    assert driver == DRIVERS[kind]
    storages.connect(f"{kind}:{rest}", writable=True)
    assert storages.exists(database)


@pytest.mark.parametrize(
    ("url", "package", "remedy"),
    [
        ("postgresql://localhost/studies", "psycopg", r"pareto-search\[postgresql\]"),
        ("mysql+pymysql://localhost/studies", "pymysql", r"pareto-search\[mysql\]"),
        ("postgresql+psycopg2://localhost/studies", "psycopg2", r"leave \+psycopg2 out"),
    ],
)
def test_a_driver_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, url: str, package: str, remedy: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"needs the package {package}\n") as caught:
        storages.exists(url)
    assert re.search(remedy, caught.value.remedy)


def test_a_missing_database_is_refused(database: str) -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        storages.connect(f"{database}_of_another_name", writable=True)


@pytest.fixture(params=list(KINDS))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of its own, to be stopped."""
    with running_or_skipped(request.param) as server:
        yield server


def test_an_outage_is_said_and_waited_out(server: Server) -> None:
    said: list[str] = []
    url = server.new_database("studies")
    ledger = open_ledger(storages.connect(url, writable=True, announce=said.append))
    run(ledger, 2)
    server.stop()
    back = threading.Timer(2.0, server.start)
    back.start()
    run(ledger, 4)
    back.join()
    assert ledger.counts() == Counts(complete=4, failed=0, running=0)
    assert len(said) == 2
    assert "does not answer" in said[0]
    assert "120 s" in said[0]
    assert said[1] == "the storage answers again"


def test_a_server_that_may_only_be_read_for_a_while_is_waited_for(
    servers: Servers, tmp_path: Path
) -> None:
    said: list[str] = []
    url = servers.new_place("postgresql", tmp_path)
    name = url.rpartition("/")[2]
    read_only = f"alter database {name} set default_transaction_read_only to"
    reconnect = f"""
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = '{name}' and pid <> pg_backend_pid()
    """

    def make_writable() -> None:
        execute(url, "set transaction read write", f"{read_only} off")
        execute(url, reconnect)

    ledger = open_ledger(storages.connect(url, writable=True, announce=said.append))
    execute(url, f"{read_only} on")
    execute(url, reconnect)
    back = threading.Timer(2.0, make_writable)
    back.start()
    ledger.set_note("kept", 7)
    back.join()
    assert ledger.note("kept") == 7
    assert "read-only transaction" in said[0]


def test_a_server_that_stays_away_ends_the_search_and_loses_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_guard, "OUTAGE_SECONDS", 1.0)
    url = server.new_database("studies")
    ledger = open_ledger(storages.connect(url, writable=True))
    run(ledger, 2)
    server.stop()
    with pytest.raises(StorageError, match="has not worked for 1 s") as caught:
        run(ledger, 4)
    assert "goes on from where the study stands" in caught.value.remedy
    server.start()
    again = open_ledger(storages.connect(url, writable=True))
    run(again, 4)
    assert again.counts() == Counts(complete=4, failed=0, running=0)


def test_the_time_of_an_outage_does_not_count_against_other_drivers(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pareto.leases.LEASE_SECONDS", 2.0)
    monkeypatch.setattr("pareto.leases.LOOK_SECONDS", 0.5)
    url = server.new_database("studies")
    first, second = (open_ledger(storages.connect(url, writable=True)) for _ in range(2))
    assert first.ask(10, 0) is not None
    assert second.take_over_lost() == (0, {0})
    server.stop()
    time.sleep(2.5)
    server.start()
    assert second.take_over_lost() == (0, {0})
    first.renew_leases()
    assert second.take_over_lost() == (0, set())
