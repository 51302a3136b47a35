"""Reading a table in batches, in the order of its primary key."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    DateTime,
    LargeBinary,
    String,
    Table,
    Text,
    and_,
    cast,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from chatrack.sql.database import Database

Row = Sequence[Any]
"""The values of all columns, in the order of the table's."""

ROWS = 500
"""How many rows a batch has at most."""

BYTES = 4_000_000
"""About how many bytes of text a batch has at most, unless a single row has more."""

_SHORT = 1000
"""The length of columns up to which their values are not measured."""


async def read_batches(
    database: Database, table: Table, *, last_key: str | None = None
) -> AsyncIterator[Sequence[Row]]:
    """Read a table in batches, in the order of its primary key as the database sorts it.

    Args:
        database: where the table is.
        table: a table with a primary key.
        last_key: the key, encoded by `encode_key`, of the row to begin after; None for the first row.
    """
    after = None if last_key is None else _decode_key(table, last_key)
    # The sizes first: the driver holds all rows of a query in memory.
    while sizes := await _read(database, table, [_size(database, table)], after, ROWS):
        for count in _divide([size for (size,) in sizes]):
            rows = await _read(database, table, table.columns.values(), after, count)
            if not rows:
                return
            yield _with_time_zones(table, rows)
            after = key_of(table, rows[-1])


async def _read(
    database: Database,
    table: Table,
    columns: Sequence[ColumnElement[Any]],
    after: Sequence[Any] | None,
    count: int,
) -> Sequence[Row]:
    key = list(table.primary_key.columns)
    conditions = [] if after is None else [_is_after(database, key, after)]
    async with database.read() as connection:
        rows: Sequence[Row] = (
            await connection.execute(
                select(*columns).select_from(table).where(*conditions).order_by(*key).limit(count)
            )
        ).all()
        return rows


def _divide(sizes: Sequence[int]) -> Iterator[int]:
    """Return how many rows each batch has, so that none is too large."""
    count = total = 0
    for size in sizes:
        if count and total + size > BYTES:
            yield count
            count = total = 0
        count += 1
        total += size
    yield count


def key_of(table: Table, row: Row) -> list[Any]:
    """Return the primary key of a row."""
    values = dict(zip(table.columns, row, strict=True))
    return [values[column] for column in table.primary_key.columns]


def encode_key(key: Sequence[Any]) -> str:
    """Encode a key as JSON."""
    return msgspec.json.encode(list(key)).decode()


def _decode_key(table: Table, encoded: str) -> list[Any]:
    kinds: Any = tuple(column.type.python_type for column in table.primary_key.columns)
    return list(msgspec.json.decode(encoded, type=tuple[kinds]))


def _is_after(database: Database, key: Sequence[Column[Any]], after: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that a row comes after another, in the form for which the database uses an index."""
    if len(key) > 1 and database.backend.indexes_row_values:
        greater: ColumnElement[bool] = tuple_(*key) > tuple_(*after, types=[column.type for column in key])
        return greater
    return or_(
        *(
            and_(*(key[earlier] == after[earlier] for earlier in range(last)), key[last] > after[last])
            for last in range(len(key))
        )
    )


def _size(database: Database, table: Table) -> ColumnElement[int]:
    """Return an expression for the size of the long values of a row."""
    total: ColumnElement[int] = literal_column("0")
    for column in table.columns:
        if _is_long(column.type):
            text = cast(column, Text) if isinstance(column.type, JSON) else column
            total += func.coalesce(database.backend.value_size(text), 0)
    return total


def _is_long(kind: TypeEngine[Any]) -> bool:
    if isinstance(kind, TypeDecorator):
        return _is_long(kind.impl_instance)
    if isinstance(kind, String | LargeBinary):
        return kind.length is None or kind.length > _SHORT
    return isinstance(kind, JSON)


def _with_time_zones(table: Table, rows: Sequence[Row]) -> Sequence[Row]:
    """Set the zone UTC on times of columns with time zones, which not every database keeps."""
    indexes = [
        index
        for index, column in enumerate(table.columns)
        if isinstance(column.type, DateTime) and column.type.timezone
    ]
    if not indexes:
        return rows
    changed = [list(row) for row in rows]
    for row in changed:
        for index in indexes:
            if row[index] is not None and row[index].tzinfo is None:
                row[index] = row[index].replace(tzinfo=UTC)
    return changed
