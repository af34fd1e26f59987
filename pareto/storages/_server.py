"""Studies on a database server, for drivers on any number of machines."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pareto.storages._schema import holds_studies
from unlearn.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from sqlalchemy.engine import URL, Connection, Engine

    from pareto.storages._database import DatabaseStorage

CONNECT_SECONDS = 10
SILENCE_SECONDS = 30
"""After which a connection that does not answer counts as broken."""

# By database: the driver that its extra installs, and what makes a dead connection known in time.
DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql"}
CONNECT_ARGUMENTS: dict[str, dict[str, Any]] = {
    "psycopg": {
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": SILENCE_SECONDS // 3,
        "keepalives_interval": SILENCE_SECONDS // 3,
        "keepalives_count": 2,
        "tcp_user_timeout": SILENCE_SECONDS * 1000,
    },
    "pymysql": {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": SILENCE_SECONDS,
        "write_timeout": SILENCE_SECONDS,
    },
}
CREATION_LOCK, CREATION_SECONDS = "pareto-search creates its tables", SILENCE_SECONDS - 10
"""Who holds the lock creates them; MySQL waits for it so long."""


class ServerBackend:
    """A database of a PostgreSQL or MySQL server; it may hold other tables as well."""

    may_come_back = True

    def __init__(self, url: "URL", shown: str) -> None:
        """
        Args:
            url: with or without a driver's name (`postgresql+psycopg://…`).
        """
        database, _, driver = url.drivername.partition("+")
        self.shown = shown
        self._database = database
        self._driver = driver or DRIVERS[database]
        self._url = url.set(drivername=f"{database}+{self._driver}")

    def exists(self) -> bool:
        with self._engine() as engine:
            return holds_studies(engine, self.shown)

    def create(self) -> None:
        with self._engine() as engine, engine.connect() as connection:
            self._lock(connection)  # released with the connection, whatever happens
            if not holds_studies(engine, self.shown):
                self._storage()

    def identity(self) -> object:
        return self.shown

    def clock(self) -> float:
        import sqlalchemy

        now = {
            "postgresql": "select extract(epoch from clock_timestamp())",
            "mysql": "select unix_timestamp(now(6))",
        }[self._database]
        with self._engine() as engine, engine.connect() as connection:
            return float(connection.execute(sqlalchemy.text(now)).scalar_one())

    def open(self, *, writable: bool) -> "BaseStorage":
        storage = self._storage()
        if writable:
            storage.check_writable()
        return storage.cached()

    def _storage(self) -> "DatabaseStorage":
        from pareto.storages._database import DatabaseStorage

        url = self._url.render_as_string(hide_password=False)
        # Optuna would look at each connection before it is used. Where the server has closed one,
        # the guard makes the call again.
        arguments = {"pool_pre_ping": False, "connect_args": self._connect_arguments()}
        with self._driver_needed():
            return DatabaseStorage(url, arguments)

    @contextmanager
    def _engine(self) -> "Iterator[Engine]":
        import sqlalchemy

        with self._driver_needed():
            engine = sqlalchemy.create_engine(self._url, connect_args=self._connect_arguments())
        try:
            yield engine
        finally:
            engine.dispose()

    def _connect_arguments(self) -> dict[str, Any]:
        """Ours, except for what the URL says itself."""
        arguments = CONNECT_ARGUMENTS.get(self._driver, {})
        return {key: value for key, value in arguments.items() if key not in self._url.query}

    @contextmanager
    def _driver_needed(self) -> Iterator[None]:
        try:
            yield
        except ImportError as error:
            remedy = f"install it with `pip install 'pareto-search[{self._database}]'`"
            if self._driver != DRIVERS[self._database]:
                remedy = f"install it, or leave +{self._driver} out of the URL"
            raise InputError(
                f"{self.shown} needs the package {error.name or self._driver}", remedy
            ) from None

    def _lock(self, connection: "Connection") -> None:
        import sqlalchemy

        name = {"name": CREATION_LOCK}
        if self._database == "postgresql":
            connection.execute(sqlalchemy.text("select pg_advisory_lock(hashtext(:name))"), name)
            return
        lock = sqlalchemy.text("select get_lock(:name, :seconds)")
        if connection.execute(lock, {**name, "seconds": CREATION_SECONDS}).scalar() != 1:
            raise InputError(
                f"another program has been creating tables in {self.shown} for"
                f" {CREATION_SECONDS} s",
                "see what it waits for, and run this again",
            )
