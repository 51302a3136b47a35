"""The progress of an unfinished copy: a table in each database that is copied into, dropped when all is verified.

A batch of rows and its progress are one transaction, so that a copy that was killed knows exactly which rows have
arrived. That is why the table is in the database of the rows, those of plugins included, and not only in the store's.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
    update,
)

from chatrack.errors import StartupError
from chatrack.sql.migrate import create_schema, creating_tables
from chatrack.sql.tables import LongText

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from chatrack.sql.database import Database

_copies = Table(
    "chatrack_copies",
    MetaData(),  # of its own: no migration creates it, and it is not copied
    Column("name", String(64), primary_key=True),  # of a table
    Column("source", Text, nullable=False),
    Column("last_key", LongText),
    Column("copied", BigInteger, nullable=False),
)

_VERIFIED = "*"
"""In place of a table's name: all tables of all databases have been copied and verified."""


class TableProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a table has been copied.

    Args:
        name: the table's name.
        source: the identity of the database that it is copied from.
        last_key: the key of the last row that has arrived, as JSON; None before the first.
        copied: how many rows have arrived.
    """

    name: str
    source: str
    last_key: str | None = None
    copied: int = 0


CopyProgress = Mapping[str, TableProgress]
"""The progress of a copy into one database, by the names of its tables."""


async def load_progress(database: "Database") -> CopyProgress:
    """Load the progress of the unfinished copy into a database; it is empty if there is no such copy."""
    async with database.read() as connection:
        if not await connection.run_sync(lambda sync: inspect(sync).has_table(_copies.name)):
            return {}
        rows = await connection.execute(select(_copies))
        return {row.name: TableProgress(**dict(zip(_copies.c.keys(), row, strict=True))) for row in rows}


async def add_progress(database: "Database", tables: Iterable[TableProgress]) -> None:
    """Store that some tables are about to be copied; the progress of those that are known stays as it is."""

    def add(connection: Connection) -> None:
        create_schema(connection, database)
        with creating_tables(database):
            _copies.create(connection, checkfirst=True)
        known = set(connection.execute(select(_copies.c.name)).scalars())
        new = [msgspec.structs.asdict(table) for table in tables if table.name not in known]
        if new:
            connection.execute(insert(_copies), new)

    async with database.migrating() as connection:
        await connection.run_sync(add)


async def advance(
    connection: "AsyncConnection", progress: TableProgress, *, last_key: str, rows: int
) -> TableProgress:
    """Store that more rows have arrived; part of the transaction that inserts them.

    Args:
        connection: inside that transaction.
        progress: the table's, before these rows.
        last_key: the key of the last of them, as JSON.
        rows: how many they are.

    Returns:
        The table's progress with them.

    Raises:
        StartupError: another copy has stored more progress in the meantime.
    """
    values: dict[str, Any] = {"last_key": last_key, "copied": progress.copied + rows}
    updated = await connection.execute(
        update(_copies)
        .where(_copies.c.name == progress.name, _copies.c.copied == progress.copied)
        .values(values)
    )
    if updated.rowcount != 1:
        raise StartupError(f"another `chatrack copy` is writing into {progress.name}; let that one finish")
    return msgspec.structs.replace(progress, **values)


async def mark_verified(database: "Database", *, source: str) -> None:
    """Store in the store's database that the copy is verified and only the progress is left to remove.

    Args:
        database: the store's.
        source: the identity of the store's database that was copied.
    """
    await add_progress(database, [TableProgress(name=_VERIFIED, source=source)])


def is_verified(progress: CopyProgress, *, source: str) -> bool:
    """Return whether `mark_verified` was called for a copy of this source.

    Args:
        progress: that of the store's database.
        source: the identity of the store's database that is copied.
    """
    return _VERIFIED in progress and progress[_VERIFIED].source == source


async def remove_progress(database: "Database") -> None:
    """Drop the table with the progress from a database."""
    async with database.migrating() as connection:
        await connection.run_sync(lambda sync: _copies.drop(sync, checkfirst=True))
