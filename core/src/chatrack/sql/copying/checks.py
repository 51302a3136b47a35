"""Checks before the first row is copied: tables to read from, and empty ones to write into."""

from pathlib import Path

from sqlalchemy import Table, func, inspect, select

from chatrack.errors import StartupError
from chatrack.interfaces.migrations import Migrations
from chatrack.sql.copying.progress import CopyProgress, TableProgress, add_progress, load_progress
from chatrack.sql.database import Database
from chatrack.sql.migrate import migrate, revisions

EMPTY_HINT = "empty the database that is copied into (the table chatrack_copies, too)"
"""What to do about an unfinished copy that cannot be continued."""


def tables_of(migrations: Migrations) -> list[Table]:
    """Return the tables of some migrations, in the order of their foreign keys."""
    return [] if migrations.tables is None else list(migrations.tables.sorted_tables)


def database_identity(database: Database) -> str:
    """Return a text that is equal for two `Database`s of the same database; without user and password.

    A server that is written in two ways (a name and an address) counts as two.
    """
    return database.backend.identity


async def open_source(database: Database) -> None:
    """Connect to a database that is copied from.

    Raises:
        StartupError: it cannot be reached, or it is a file that does not exist; the file is not created.
    """
    if database.is_absent:
        raise StartupError(f"{database.label}: there is no file {database.url.database or ''}")
    await database.start()


async def check_source(migrations: Migrations, *, config: Path) -> None:
    """Check that tables can be copied as they are.

    Args:
        migrations: their migrations; the database is started.
        config: the config file, for the error.

    Raises:
        StartupError: their revision is not this version's, or an unfinished copy has left them.
    """
    if await load_progress(migrations.database):
        raise StartupError("a copy into this database has not been finished; finish that one first")
    current, head = await revisions(migrations)
    if current != head:
        state = (
            "there are no tables" if current is None else f"the tables are at revision {current}, not {head}"
        )
        raise StartupError(f"{state}; run `chatrack migrate --config {config}`")


async def check_complete(database: Database) -> None:
    """Check that a database does not hold an unfinished copy.

    Raises:
        StartupError: it does.
    """
    progress = await load_progress(database)
    if progress:
        source = next(iter(progress.values())).source
        raise StartupError(f"an unfinished copy from {source} is in it; finish it with `chatrack copy`")


async def count_rows(database: Database, table: Table) -> int:
    """Return how many rows a table has; 0 if it does not exist."""
    async with database.read() as connection:
        if not await connection.run_sync(lambda sync: inspect(sync).has_table(table.name)):
            return 0
        counted = await connection.execute(select(func.count()).select_from(table))
        return int(counted.scalar_one())


async def check_target(migrations: Migrations, progress: CopyProgress, *, source: str) -> None:
    """Check that tables are empty, or hold what an interrupted copy has left; nothing is changed.

    Args:
        migrations: their migrations; the database is started.
        progress: that of their database.
        source: the identity of the database that is copied from.

    Raises:
        StartupError: they hold something else, or are newer than this version of the code.
    """
    await revisions(migrations)
    occupied = []
    for table in tables_of(migrations):
        copied = progress.get(table.name)
        rows = await count_rows(migrations.database, table)
        if copied is None:
            if rows:
                occupied.append(f"{rows:,} {table.name.removeprefix(f'{migrations.name}_')}")
        elif copied.source != source:
            raise StartupError(
                f"an unfinished copy from {copied.source} is in it, and this is one from {source}; "
                f"finish that one, or {EMPTY_HINT}"
            )
        elif copied.copied != rows:
            raise StartupError(
                f"an interrupted copy has left {copied.copied:,} rows in {table.name}, and now there are {rows:,}; "
                f"{EMPTY_HINT} and copy again"
            )
    if occupied:
        raise StartupError(f"the database already has {', '.join(occupied)}; copy needs one that is empty")


async def make_tables(migrations: Migrations, *, source: str) -> None:
    """Store that tables are about to be copied, then create them or bring them up to date.

    Args:
        migrations: their migrations, checked by `check_target`.
        source: the identity of the database that is copied from.

    Raises:
        StartupError: as `migrate`.
    """
    tables = [TableProgress(name=str(table.name), source=source) for table in tables_of(migrations)]
    await add_progress(migrations.database, tables)
    await migrate(migrations)
