"""The two ends of a copy, before the first row moves: tables to read from, and empty ones to write into."""

from pathlib import Path

from sqlalchemy import Table, func, inspect, select

from chatrack.errors import StartupError
from chatrack.interfaces.migrations import Migrations
from chatrack.sql.copying.progress import CopyProgress, TableProgress, add_progress, load_progress
from chatrack.sql.database import Database
from chatrack.sql.migrate import migrate, revisions

EMPTY = "empty the database that is copied into (the table chatrack_copies, too)"
"""What to do when an unfinished copy cannot be gone on with."""


def tables_of(migrations: Migrations) -> list[Table]:
    """Give the tables of a history, those before others that the others refer to."""
    return [] if migrations.tables is None else list(migrations.tables.sorted_tables)


async def open_source(database: Database) -> None:
    """Connect to a database that is copied from.

    Raises:
        StartupError: it cannot be reached, or it is a file that is not there, which is then not made either.
    """
    if database.is_absent:
        raise StartupError(f"{database.label}: there is no file {database.url.database or ''}")
    await database.start()


async def check_source(migrations: Migrations, *, config: Path) -> None:
    """Check that tables can be copied as they are.

    Args:
        migrations: their history; the database is started.
        config: the config file, for the error.

    Raises:
        StartupError: their revision is another than this version's, or they are only half of something.
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
    """Check that a database is not what an interrupted copy has left behind.

    Raises:
        StartupError: it is.
    """
    notes = await load_progress(database)
    if notes:
        source = next(iter(notes.values())).source
        raise StartupError(f"an unfinished copy from {source} is in it; finish it with `chatrack copy`")


async def count_rows(database: Database, table: Table) -> int:
    """Count the rows of a table; one that is not there has none."""
    async with database.read() as connection:
        if not await connection.run_sync(lambda sync: inspect(sync).has_table(table.name)):
            return 0
        counted = await connection.execute(select(func.count()).select_from(table))
        return int(counted.scalar_one())


async def check_target(migrations: Migrations, notes: CopyProgress, *, source: str) -> None:
    """Check that tables are empty, or what an interrupted copy has left behind; nothing is changed.

    Args:
        migrations: their history; the database is started.
        notes: those of their database.
        source: the place that is copied from.

    Raises:
        StartupError: they hold something else, or are newer than this version of the code.
    """
    await revisions(migrations)
    found = []
    for table in tables_of(migrations):
        note = notes.get(table.name)
        rows = await count_rows(migrations.database, table)
        if note is None:
            if rows:
                found.append(f"{rows:,} {table.name.removeprefix(f'{migrations.name}_')}")
        elif note.source != source:
            raise StartupError(
                f"an unfinished copy from {note.source} is in it, and this is one from {source}; "
                f"finish that one, or {EMPTY}"
            )
        elif note.copied != rows:
            raise StartupError(
                f"an interrupted copy has left {note.copied:,} rows in {table.name}, and now there are {rows:,}; "
                f"{EMPTY} and copy again"
            )
    if found:
        raise StartupError(f"the database already has {', '.join(found)}; copy needs one that is empty")


async def make_tables(migrations: Migrations, *, source: str) -> None:
    """TableProgress that tables are going to be copied, and then bring them up to date.

    Args:
        migrations: their history, checked by `check_target`.
        source: the place that is copied from.

    Raises:
        StartupError: as `migrate`.
    """
    notes = [TableProgress(name=str(table.name), source=source) for table in tables_of(migrations)]
    await add_progress(migrations.database, notes)
    await migrate(migrations)
