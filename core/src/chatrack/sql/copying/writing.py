"""Adding rows to the table that is copied into, each exactly once."""

from collections.abc import Sequence

from sqlalchemy import Table, func, insert, literal, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.errors import StartupError, Unavailable
from chatrack.sql.backends import driver_message
from chatrack.sql.copying.batches import Row, encode_key, key_of
from chatrack.sql.copying.ends import EMPTY
from chatrack.sql.copying.progress import TableProgress, advance
from chatrack.sql.database import Database


async def write_batch(
    database: Database, table: Table, rows: Sequence[Row], note: TableProgress
) -> TableProgress:
    """Add a batch and note that it has arrived, as one transaction.

    Args:
        database: where the table is.
        table: the one that is copied into.
        rows: the batch, in the order of the key.
        note: how far the table has come.

    Returns:
        How far it has come now.

    Raises:
        StartupError: the database does not take the rows.
        Unavailable: it cannot be reached.
    """
    names = table.columns.keys()
    values = [dict(zip(names, row, strict=True)) for row in rows]
    last_key = encode_key(key_of(table, rows[-1]))

    async def work(connection: AsyncConnection) -> TableProgress:
        # The note first: of two copies that run at once, one waits here and then finds that it is late.
        noted = await advance(connection, note, last_key=last_key, rows=len(rows))
        await connection.execute(insert(table), values)
        return noted

    try:
        return await database.write(work)
    except IntegrityError as error:
        raise StartupError(
            f"{table.name}: some rows do not go with those that are there ({driver_message(error)}); something was "
            f"written meanwhile: stop what uses the two databases, {EMPTY} and copy again"
        ) from error
    except (DBAPIError, Unavailable) as error:
        if database.dialect == "postgresql" and any(_holds_nul(row) for row in rows):
            reason: str | None = "a text holds a NUL character, which PostgreSQL does not take"
        elif isinstance(error, Unavailable):
            raise
        else:
            reason = driver_message(error)
        raise StartupError(f"{table.name}, rows up to {last_key}: {reason}") from error


async def reset_sequence(database: Database, table: Table) -> None:
    """Let PostgreSQL number new rows after those that came with their numbers; others do so by themselves."""
    column = table.autoincrement_column
    if database.dialect != "postgresql" or column is None:
        return
    highest = select(func.max(column)).scalar_subquery()
    sequence = func.pg_get_serial_sequence(literal(f'"{table.name}"'), literal(column.name))
    await database.write(
        lambda connection: connection.execute(
            select(func.setval(sequence, func.coalesce(highest, 1), highest.is_not(None)))
        )
    )


def _holds_nul(row: Row) -> bool:
    return any(isinstance(value, str) and "\0" in value for value in row)
