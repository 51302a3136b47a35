"""Inserting rows into the table that is copied into, each exactly once."""

from collections.abc import Sequence

from sqlalchemy import Table, insert
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.errors import StartupError, Unavailable
from chatrack.sql.copying.batches import Row, encode_key, key_of
from chatrack.sql.copying.checks import EMPTY_HINT
from chatrack.sql.copying.progress import TableProgress, advance
from chatrack.sql.database import Database


async def write_batch(
    database: Database, table: Table, rows: Sequence[Row], progress: TableProgress
) -> TableProgress:
    """Insert a batch and store the progress, as one transaction.

    Args:
        database: where the table is.
        table: the one that is copied into.
        rows: the batch, in the order of the key.
        progress: the table's, before the batch.

    Returns:
        The table's progress with the batch.

    Raises:
        StartupError: the database refuses the rows.
        Unavailable: it cannot be reached.
    """
    names = table.columns.keys()
    values = [dict(zip(names, row, strict=True)) for row in rows]
    last_key = encode_key(key_of(table, rows[-1]))

    async def work(connection: AsyncConnection) -> TableProgress:
        # The progress first: of two copies at once, one waits here and then finds that the other was faster.
        advanced = await advance(connection, progress, last_key=last_key, rows=len(rows))
        await connection.execute(insert(table), values)
        return advanced

    try:
        return await database.write(work)
    except IntegrityError as error:
        raise StartupError(
            f"{table.name}: some rows conflict with those that are there ({database.backend.driver_message(error)}); "
            f"something was written in the meantime: stop what uses the two databases, {EMPTY_HINT} and copy again"
        ) from error
    except (DBAPIError, Unavailable) as error:
        if not database.backend.accepts_nul and any(map(_holds_nul, rows)):
            reason: str | None = "a text holds a NUL character, which this kind of database does not accept"
        elif isinstance(error, Unavailable):
            raise
        else:
            reason = database.backend.driver_message(error)
        raise StartupError(f"{table.name}, rows up to {last_key}: {reason}") from error


async def reset_sequence(database: Database, table: Table) -> None:
    """Make the database number new rows after those that were copied with their numbers.

    Args:
        database: where the table is.
        table: one whose rows have all been copied.
    """
    column = table.autoincrement_column
    statement = None if column is None else database.backend.reset_sequence(table, column)
    if statement is None:
        return
    await database.write(lambda connection: connection.execute(statement))


def _holds_nul(row: Row) -> bool:
    return any(isinstance(value, str) and "\0" in value for value in row)
