"""Databases of this Optuna, told from older ones, from others, and from those with no studies."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine


def holds_studies(engine: "Engine", shown: str) -> bool:
    """Whether a database has all tables for studies; nothing is changed.

    Raises:
        InputError: it has tables of another Optuna, or other tables of the same names.
    """
    import sqlalchemy
    from optuna.storages._rdb import models

    inspector = sqlalchemy.inspect(engine)
    present = set(inspector.get_table_names())
    tables = models.BaseModel.metadata.tables
    if not present & tables.keys():
        return False
    if "version_info" in present and "alembic_version" in present:
        with engine.connect() as connection:
            schema = connection.execute(
                sqlalchemy.text("select schema_version from version_info")
            ).scalar()
            revision = connection.execute(
                sqlalchemy.text("select version_num from alembic_version")
            ).scalar()
        if revision is not None:
            if (schema, revision) != (models.SCHEMA_VERSION, _newest_revision()):
                raise InputError(
                    f"{shown} was written by an Optuna with another storage schema",
                    "upgrade a copy of it with `optuna storage upgrade`, or use another storage",
                )
            return True
    for name in present & tables.keys():
        columns = {column["name"] for column in inspector.get_columns(name)}
        if columns != set(tables[name].columns.keys()):
            raise InputError(
                f"{shown} is a database, but not of studies: its table {name} is another one",
                "use another database",
            )
    return False  # somebody died while creating it; creating goes on


@cache
def _newest_revision() -> str | None:
    """Optuna's own name for the schema that it writes."""
    import optuna.storages._rdb
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    (package,) = optuna.storages._rdb.__path__
    config = Config()
    config.set_main_option("script_location", str(Path(package) / "alembic").replace("%", "%%"))
    return ScriptDirectory.from_config(config).get_current_head()
