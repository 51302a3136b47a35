"""Running migrations: alembic, with a version table for each distribution."""

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, MetaData, Table, event, inspect, select, text
from sqlalchemy.schema import CreateSchema

from chatrack.errors import StartupError
from chatrack.interfaces.migrations import Migrations
from chatrack.sql.tables import metadata

if TYPE_CHECKING:
    from chatrack.sql.database import Database

T = TypeVar("T")


def store_migrations(database: "Database") -> Migrations:
    """Return the migrations of the tables of `SQLStore`, for the plugin whose store it is.

    Args:
        database: the store's.
    """
    return Migrations(
        name="chatrack",
        folder=Path(__file__).parent / "migrations",
        version_table="chatrack_version",
        database=database,
        tables=metadata,
    )


async def migrate(migrations: Migrations) -> tuple[str | None, str | None]:
    """Bring tables up to date; other processes wait and then find nothing to do.

    It is one transaction, where the database can roll back `CREATE TABLE` and the like.

    Args:
        migrations: the migrations; their database is started.

    Returns:
        The revisions before and after; None if there were no tables.

    Raises:
        StartupError: the tables are newer than this version of the code, or the folder is not one of alembic's.
    """
    return await _run(migrations, _upgrade)


async def migration_sql(migrations: Migrations) -> str:
    """Return the SQL that `migrate` would run, without running it; empty if there is nothing to do.

    Args:
        migrations: the migrations; their database is started.

    Raises:
        StartupError: as `migrate`.
    """
    return await _run(migrations, _render_upgrade)


async def revisions(migrations: Migrations) -> tuple[str | None, str | None]:
    """Return the revision of the tables, and the one that this version of the code needs.

    Args:
        migrations: the migrations; their database is started.

    Raises:
        StartupError: as `migrate`.
    """
    async with migrations.database.read() as connection:
        return await connection.run_sync(_revisions, migrations)


async def make_ready(migrations: Migrations) -> tuple[str | None, str | None]:
    """Prepare tables for the server: create missing ones, and migrate older ones if `auto_migrate` is set.

    Args:
        migrations: the migrations; their database is started.

    Returns:
        The revisions before and after.

    Raises:
        StartupError: the tables are older and `auto_migrate` is not set; or as `migrate`.
    """
    if migrations.database.auto_migrate:
        return await migrate(migrations)
    current, head = await _settled_revisions(migrations)
    if current is None:
        return await migrate(migrations)
    _require_head(migrations, current, head)
    return current, head


async def have_tables(migrations: Migrations) -> bool:
    """Return whether the tables exist; nothing is changed.

    Args:
        migrations: the migrations; their database is started.

    Raises:
        StartupError: the tables are older than this version needs; or as `migrate`.
    """
    current, head = await _settled_revisions(migrations)
    if current is not None:
        _require_head(migrations, current, head)
    return current is not None


async def _settled_revisions(migrations: Migrations) -> tuple[str | None, str | None]:
    """Return the two revisions while no other process migrates: without transactional DDL, others see each step."""
    current, head = await revisions(migrations)
    if current is None or current == head:
        return current, head
    return await _run(migrations, _revisions)


def _revisions(connection: Connection, migrations: Migrations) -> tuple[str | None, str | None]:
    return _AlembicFolder(migrations).revisions(connection)


def _require_head(migrations: Migrations, current: str, head: str | None) -> None:
    """Refuse older tables.

    Raises:
        StartupError: they are older than this version of the code needs.
    """
    if current == head:
        return
    advice = "run `chatrack migrate`"
    if not migrations.database.auto_migrate:
        advice += ", or set `auto_migrate = true`"
    raise StartupError(
        f"{migrations.name}: its tables are at revision {current}, and this version needs {head}; {advice}"
    )


async def _run(migrations: Migrations, work: Callable[[Connection, Migrations], T]) -> T:
    """Run something in the context that one process at a time enters."""
    async with migrations.database.migrating() as connection:
        return await connection.run_sync(work, migrations)


def _upgrade(connection: Connection, migrations: Migrations) -> tuple[str | None, str | None]:
    folder = _AlembicFolder(migrations)
    create_schema(connection, migrations.database)
    current, head = folder.revisions(connection)
    if current == head:
        return current, head
    if not migrations.database.backend.transactional_ddl and _drop_unused_tables(connection, migrations):
        current = None
    folder.upgrade(connection)
    return current, head


def create_schema(connection: Connection, database: "Database") -> None:
    """Create the schema that the tables are in, if there is one and it does not exist."""
    creation = _missing_schema(connection, database)
    if creation is not None:
        connection.execute(creation)


def _missing_schema(connection: Connection, database: "Database") -> CreateSchema | None:
    if database.schema is None or inspect(connection).has_schema(database.schema):
        return None
    return CreateSchema(database.schema)


def _drop_unused_tables(connection: Connection, migrations: Migrations) -> bool:
    """Drop the tables if they exist and have no rows: a killed migration has left half of them.

    Returns:
        Whether they were dropped.
    """
    if migrations.tables is None:
        return False
    names = set(inspect(connection).get_table_names())
    existing = [table for table in migrations.tables.sorted_tables if table.name in names]
    if not existing or any(
        connection.execute(select(text("1")).select_from(table).limit(1)).all() for table in existing
    ):
        return False
    # The version goes first: if this is killed as well, the tables do not count as complete.
    Table(migrations.version_table, MetaData()).drop(connection, checkfirst=True)
    migrations.tables.drop_all(connection)
    return True


def _render_upgrade(connection: Connection, migrations: Migrations) -> str:
    output = io.StringIO()
    folder = _AlembicFolder(migrations, output)
    creation = _missing_schema(connection, migrations.database)
    if creation is not None:
        output.write(f"{creation.compile(dialect=connection.dialect)};\n\n")
    current, head = folder.revisions(connection)
    if current != head:
        folder.upgrade(connection, begin=current or "base")
    return output.getvalue()


class _AlembicFolder:
    """The alembic folder of some migrations.

    Args:
        migrations: the migrations.
        output: receives the SQL that is not to be run.
    """

    def __init__(self, migrations: Migrations, output: io.StringIO | None = None) -> None:
        from alembic.config import Config  # late: a tenth of a second that other commands do not need

        self._migrations = migrations
        self._config = Config(output_buffer=output)
        self._config.set_main_option("script_location", str(migrations.folder).replace("%", "%%"))
        self._config.attributes["version_table"] = migrations.version_table

    def revisions(self, connection: Connection) -> tuple[str | None, str | None]:
        """Return the revision of the tables and the one of the code.

        Raises:
            StartupError: the folder cannot be read, or the tables are newer than the code.
        """
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory
        from alembic.util import CommandError

        name = self._migrations.name
        options = {"version_table": self._migrations.version_table}
        current = MigrationContext.configure(connection, opts=options).get_current_revision()
        try:
            script = ScriptDirectory.from_config(self._config)
            head = script.get_current_head()
        except CommandError as error:
            raise StartupError(f"{name}: the migrations cannot be read: {error}") from error
        if current is not None and current not in {known.revision for known in script.walk_revisions()}:
            raise StartupError(
                f"{name}: the database is at revision {current}, which this version does not know; "
                "it was used by a newer version: install that one"
            )
        return current, head

    def upgrade(self, connection: Connection, *, begin: str | None = None) -> None:
        """Run the missing revisions, or write the SQL of those after `begin` to the output."""
        from alembic import command

        self._config.attributes["connection"] = connection
        with creating_tables(self._migrations.database):
            command.upgrade(self._config, "head" if begin is None else f"{begin}:head", sql=begin is not None)


def run_env() -> None:
    """Run alembic's migrations. The `env.py` of an alembic folder calls this and does nothing else."""
    from alembic import context  # late: exists only while alembic runs

    attributes: dict[str, Any] = context.config.attributes
    # `migrate` begins and ends the transaction, not alembic.
    context.configure(connection=attributes["connection"], version_table=attributes["version_table"])
    context.run_migrations()


@contextlib.contextmanager
def creating_tables(database: "Database") -> Iterator[None]:
    """Set the table options of the database's backend on every table that is created in the meantime."""

    def set_options(table: Table, connection: Any, **_: Any) -> None:
        table.kwargs.update(database.backend.table_options(connection))

    event.listen(Table, "before_create", set_options)
    try:
        yield
    finally:
        event.remove(Table, "before_create", set_options)
