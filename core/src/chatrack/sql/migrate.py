"""Running migrations: alembic, one version table per distribution."""

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
    """Give the history of the tables of `SQLStore`, for the plugin that gives one.

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
    """Bring a database up to date; other processes wait and then find nothing to do.

    Where the database can, it is one transaction. MySQL commits each change of a table by itself.

    Args:
        migrations: which history, in which database; the database is started.

    Returns:
        The revisions before and after; None is that of a database without tables.

    Raises:
        StartupError: the database is newer than this version of the code, or the folder is none of alembic's.
    """
    return await _with_connection(migrations, _upgrade)


async def migration_sql(migrations: Migrations) -> str:
    """Give the SQL that `migrate` would run, and run none of it; empty if there is nothing to do.

    Args:
        migrations: which history, in which database; the database is started.

    Raises:
        StartupError: as `migrate`.
    """
    return await _with_connection(migrations, _upgrade_in_sql)


async def revisions(migrations: Migrations) -> tuple[str | None, str | None]:
    """Give the revision that a database has, and that which this version of the code needs.

    Args:
        migrations: which history, in which database; the database is started.

    Raises:
        StartupError: as `migrate`.
    """
    async with migrations.database.read() as connection:
        return await connection.run_sync(_state, migrations)


async def make_ready(migrations: Migrations) -> tuple[str | None, str | None]:
    """Do what has to be done to a database's tables before the server starts.

    One without tables gets them. One with older tables is brought up to date if it may be.

    Args:
        migrations: which history, in which database; the database is started.

    Returns:
        The revisions before and after.

    Raises:
        StartupError: the tables are older, and nobody said that they may be changed; or as `migrate`.
    """
    if migrations.database.auto_migrate:
        return await migrate(migrations)
    current, head = await _settled(migrations)
    if current is None:
        return await migrate(migrations)
    _check(migrations, current, head)
    return current, head


async def have_tables(migrations: Migrations) -> bool:
    """Tell whether a database has the tables; it is not changed.

    Args:
        migrations: which history, in which database; the database is started.

    Raises:
        StartupError: they are older than this version needs; or as `migrate`.
    """
    current, head = await _settled(migrations)
    if current is not None:
        _check(migrations, current, head)
    return current is not None


async def _settled(migrations: Migrations) -> tuple[str | None, str | None]:
    """Give the two revisions once nobody is in the middle of a migration, which MySQL shows step by step."""
    current, head = await revisions(migrations)
    if current is None or current == head:
        return current, head
    return await _with_connection(migrations, _state)


def _state(connection: Connection, migrations: Migrations) -> tuple[str | None, str | None]:
    return _History(migrations).state(connection)


def _check(migrations: Migrations, current: str, head: str | None) -> None:
    if current == head:
        return
    advice = "run `chatrack migrate`"
    if not migrations.database.auto_migrate:
        advice += ", or set `auto_migrate = true`"
    raise StartupError(
        f"{migrations.name}: its tables are at revision {current}, and this version needs {head}; {advice}"
    )


async def _with_connection(migrations: Migrations, work: Callable[[Connection, Migrations], T]) -> T:
    async with migrations.database.migrating() as connection:
        return await connection.run_sync(work, migrations)


def _upgrade(connection: Connection, migrations: Migrations) -> tuple[str | None, str | None]:
    history = _History(migrations)
    make_schema(connection, migrations.database)
    before, head = history.state(connection)
    if before != head:
        begun = before
        if connection.dialect.name in {"mysql", "mariadb"} and _remove_half_made(connection, migrations):
            begun = None
        history.upgrade(connection)
        return begun, head
    return before, head


def make_schema(connection: Connection, database: "Database") -> None:
    """Make the schema that a database is to use, if it uses one that is not there."""
    creation = _missing_schema(connection, database)
    if creation is not None:
        connection.execute(creation)


def _missing_schema(connection: Connection, database: "Database") -> CreateSchema | None:
    if database.schema is None or inspect(connection).has_schema(database.schema):
        return None
    return CreateSchema(database.schema)


def _remove_half_made(connection: Connection, migrations: Migrations) -> bool:
    """Remove tables that nobody has ever used: MySQL keeps half of a migration whose process was killed."""
    if migrations.tables is None:
        return False
    there = set(inspect(connection).get_table_names())
    found = [table for table in migrations.tables.sorted_tables if table.name in there]
    if not found or any(
        connection.execute(select(text("1")).select_from(one).limit(1)).all() for one in found
    ):
        return False
    # The version goes first: a table is never missing from tables that count as complete.
    Table(migrations.version_table, MetaData()).drop(connection, checkfirst=True)
    migrations.tables.drop_all(connection)
    return True


def _upgrade_in_sql(connection: Connection, migrations: Migrations) -> str:
    output = io.StringIO()
    history = _History(migrations, output)
    creation = _missing_schema(connection, migrations.database)
    if creation is not None:
        output.write(f"{creation.compile(dialect=connection.dialect)};\n\n")
    before, head = history.state(connection)
    if before != head:
        history.upgrade(connection, begin=before or "base")
    return output.getvalue()


class _History:
    """One alembic folder.

    Args:
        migrations: which.
        output: where SQL goes, if it is not to be run.
    """

    def __init__(self, migrations: Migrations, output: io.StringIO | None = None) -> None:
        from alembic.config import Config  # late: a tenth of a second that other commands do not need

        self._migrations = migrations
        self._config = Config(output_buffer=output)
        self._config.set_main_option("script_location", str(migrations.folder).replace("%", "%%"))
        self._config.attributes["version_table"] = migrations.version_table

    def state(self, connection: Connection) -> tuple[str | None, str | None]:
        """Give the revision of the database and that of the code.

        Raises:
            StartupError: the folder cannot be read, or the database is newer than the code.
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
        known = current in {None, head} or current in {one.revision for one in script.walk_revisions()}
        if not known:
            raise StartupError(
                f"{name}: the database is at revision {current}, which this version does not know; "
                "it was used by a newer version: install that one"
            )
        return current, head

    def upgrade(self, connection: Connection, *, begin: str | None = None) -> None:
        """Run the revisions that are missing; or, from `begin` on, only write them down."""
        from alembic import command

        self._config.attributes["connection"] = connection
        with _compared_byte_by_byte():
            command.upgrade(self._config, "head" if begin is None else f"{begin}:head", sql=begin is not None)


def run_env() -> None:
    """Do what the `env.py` of an alembic folder has to do; it needs no other line than a call of this."""
    from alembic import context  # late: exists only while alembic runs

    attributes: dict[str, Any] = context.config.attributes
    # The transaction is ours (see `migrate`), also where alembic believes that DDL cannot be in one.
    context.configure(connection=attributes["connection"], version_table=attributes["version_table"])
    context.run_migrations()


@contextlib.contextmanager
def _compared_byte_by_byte() -> Iterator[None]:
    """Let MySQL tell the ids "a", "A" and "a " apart, in every table that is made meanwhile."""

    def compare(table: Table, connection: Any, **_: Any) -> None:
        dialect = connection.dialect
        if dialect.name not in {"mysql", "mariadb"}:
            return
        mariadb = getattr(dialect, "is_mariadb", False)
        table.kwargs[f"{dialect.name}_charset"] = "utf8mb4"
        table.kwargs[f"{dialect.name}_collate"] = "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"

    event.listen(Table, "before_create", compare)
    try:
        yield
    finally:
        event.remove(Table, "before_create", compare)
