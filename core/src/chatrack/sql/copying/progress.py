"""How far an unfinished copy has come: a table in each database that is copied into, gone when all is verified.

A batch and its note are one transaction, so a copy that is killed knows exactly which rows have arrived. That
is why the table is in the database of the rows, plugins' own included, and not only in the store's.
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
from chatrack.sql.migrate import make_schema
from chatrack.sql.tables import LongText

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from chatrack.sql.database import Database

_copies = Table(
    "chatrack_copies",
    MetaData(),  # of its own: no history makes it, and it is not copied
    Column("name", String(64), primary_key=True),  # of a table
    Column("source", Text, nullable=False),
    Column("last_key", LongText),
    Column("copied", BigInteger, nullable=False),
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
)

_VERIFIED = "*"
"""In place of a table's name: all tables of all databases have been copied and verified."""


class TableProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far one table has come.

    Args:
        name: the table's.
        source: the place that it is copied from.
        last_key: the key of the last row that has arrived, as JSON; None before the first.
        copied: how many rows have arrived.
    """

    name: str
    source: str
    last_key: str | None = None
    copied: int = 0


CopyProgress = Mapping[str, TableProgress]
"""CopyProgress by the names of their tables."""


async def load_progress(database: "Database") -> CopyProgress:
    """Load the notes of the copy into a database that has not been finished; none if there is no such copy."""
    async with database.read() as connection:
        if not await connection.run_sync(lambda sync: inspect(sync).has_table(_copies.name)):
            return {}
        rows = await connection.execute(select(_copies))
        return {row.name: TableProgress(**dict(zip(_copies.c.keys(), row, strict=True))) for row in rows}


async def add_progress(database: "Database", notes: Iterable[TableProgress]) -> None:
    """TableProgress that some tables are going to be copied; those that are noted already stay as they are."""

    def work(connection: Connection) -> None:
        make_schema(connection, database)
        _copies.create(connection, checkfirst=True)
        known = set(connection.execute(select(_copies.c.name)).scalars())
        new = [msgspec.structs.asdict(note) for note in notes if note.name not in known]
        if new:
            connection.execute(insert(_copies), new)

    async with database.migrating() as connection:
        await connection.run_sync(work)


async def advance(
    connection: "AsyncConnection", note: TableProgress, *, last_key: str, rows: int
) -> TableProgress:
    """TableProgress that some rows more have arrived; part of the transaction that adds them.

    Raises:
        StartupError: it has been noted before.
    """
    values: dict[str, Any] = {"last_key": last_key, "copied": note.copied + rows}
    moved = await connection.execute(
        update(_copies).where(_copies.c.name == note.name, _copies.c.copied == note.copied).values(values)
    )
    if moved.rowcount != 1:
        raise StartupError(f"another `chatrack copy` is writing into {note.name}; let that one finish")
    return msgspec.structs.replace(note, **values)


async def mark_verified(database: "Database", *, source: str) -> None:
    """TableProgress in the store's database that nothing is left to do but to remove the notes.

    Args:
        database: the store's.
        source: the place of the store that was copied.
    """
    await add_progress(database, [TableProgress(name=_VERIFIED, source=source)])


def is_verified(notes: CopyProgress, *, source: str) -> bool:
    """Tell whether notes of the store's database hold what `mark_verified` noted of this source."""
    return _VERIFIED in notes and notes[_VERIFIED].source == source


async def remove_progress(database: "Database") -> None:
    """Remove all notes from a database."""
    async with database.migrating() as connection:
        await connection.run_sync(lambda sync: _copies.drop(sync, checkfirst=True))
