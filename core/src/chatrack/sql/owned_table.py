"""A table whose rows belong to users: what an export shows of a row, and how rows are found and removed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, ColumnElement, Table, and_, delete, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.clock import from_micros, to_wire
from chatrack.interfaces.user_data import UserRecord
from chatrack.sql.ownership import owned_by

_OWNER = ("tenant_id", "user_id")
_TAKEN = ("source", "kind")
"""What every line of an export begins with."""

_TOGETHER = 100
"""How many rows that have parts are removed in one transaction."""

_PARTS = 2000
"""About how many parts go with them at most: SQLite lets nobody else write meanwhile."""

Row = Mapping[str, Any]


class OwnedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table whose rows belong to users.

    Args:
        table: the table; it has `owner_columns` and a primary key.
        kind: what an export calls a row.
        order: the columns by which an export is sorted, before those of the primary key; never NULL.
        timestamps: columns that hold microseconds since 1970.
        json_columns: columns of text that hold JSON.
        age: which of the `timestamps` says how old a row is; if None, no row is ever too old.
        where: a condition that tells the rows that are meant from others of the table.
        children: tables whose rows go where a row of this one goes; the primary key is one column then.
        parent_key: in a part, the column that names the row it belongs to.
        size: the column that says about how many parts a row has.

    Raises:
        ValueError: the table has no such column.
    """

    table: Table
    kind: str
    order: Sequence[str] = ()
    timestamps: Sequence[str] = ()
    json_columns: Sequence[str] = ()
    age: str | None = None
    where: ColumnElement[bool] | None = None
    children: Sequence["OwnedTable"] = ()
    parent_key: str | None = None
    size: str | None = None

    def __post_init__(self) -> None:
        single = [name for name in (self.age, self.parent_key, self.size) if name is not None]
        for name in (*_OWNER, *self.order, *self.timestamps, *self.json_columns, *single):
            if name not in self.table.c:
                raise ValueError(f"the table {self.table.name} has no column {name}")
        if self.children and (len(self.key) != 1 or any(part.parent_key is None for part in self.children)):
            raise ValueError(
                f"the parts of {self.table.name} need one column to belong to, named by `parent_key`"
            )

    @property
    def key(self) -> list[Column[Any]]:
        """The primary key."""
        return list(self.table.primary_key)

    @property
    def sorting(self) -> list[Column[Any]]:
        """The columns that an export is sorted by. In a part, the row it belongs to is the same throughout."""
        chosen = [self.table.c[name] for name in self.order]
        return [
            *chosen,
            *(column for column in self.key if column.name not in (*self.order, self.parent_key)),
        ]

    def record(self, row: Row) -> UserRecord:
        """Give a row as an export shows it: without its owner, times in ISO 8601, JSON as JSON."""
        fields = {}
        for name in self.table.c.keys():  # noqa: SIM118  (iterating gives columns)
            if name in _OWNER:
                continue
            value = row[name]
            if value is not None and name in self.timestamps:
                value = to_wire(from_micros(value))
            elif value is not None and name in self.json_columns:
                value = _document(value)
            fields[f"{self.kind}_{name}" if name in _TAKEN else name] = value
        return UserRecord(kind=self.kind, fields=fields)

    def batches(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """Divide rows into what may be removed together."""
        if not self.children:
            yield rows
            return
        batch: list[Row] = []
        parts = 0
        for row in rows:
            more = 0 if self.size is None else row[self.size]
            if batch and (len(batch) == _TOGETHER or parts + more > _PARTS):
                yield batch
                batch, parts = [], 0
            batch.append(row)
            parts += more
        if batch:
            yield batch

    async def remove(
        self,
        connection: AsyncConnection,
        rows: Sequence[Row],
        condition: ColumnElement[bool],
        values: Mapping[str, Any],
        *,
        mine: bool,
    ) -> dict[str, int]:
        """Remove rows and their parts, unless they no longer are what they were.

        Args:
            connection: inside a transaction.
            rows: with their primary keys.
            condition: what must still be true of a row.
            values: the parameters of the condition.
            mine: whether the parts have to be the user's of `values`.

        Returns:
            How many of each kind were removed.
        """
        these = self._these(rows)
        removed = dict.fromkeys((self.kind, *(part.kind for part in self.children)), 0)
        if self.children:
            # The row that everybody locks first: nothing is added to it any more, and nobody waits in a circle.
            (key,) = self.key
            locked = select(key).where(these, condition).order_by(key).with_for_update()
            ids = (await connection.execute(locked, values)).scalars().all()
            for part in reversed(self.children):
                assert part.parent_key is not None
                belongs = [part.table.c[part.parent_key].in_(ids), *([owned_by(part.table)] if mine else [])]
                gone = await connection.execute(delete(part.table).where(*belongs), values)
                removed[part.kind] += gone.rowcount
            these = key.in_(ids)
        gone = await connection.execute(delete(self.table).where(these, condition), values)
        removed[self.kind] += gone.rowcount
        return removed

    def _these(self, rows: Sequence[Row]) -> ColumnElement[bool]:
        first, *rest = self.key
        found = first.in_([row[first.name] for row in rows])
        if not rest:
            return found
        # The first column by itself: MariaDB has no index for the condition that says it all.
        keys = [tuple(row[column.name] for column in self.key) for row in rows]
        return and_(found, tuple_(*self.key).in_(keys))


def after(columns: Sequence[ColumnElement[Any]], values: Sequence[Any]) -> ColumnElement[bool]:
    """Give the condition that a row comes after the one with these values, in the order of these columns."""
    column, value = columns[0], values[0]
    beyond: ColumnElement[bool] = column > value
    if len(columns) == 1:
        return beyond
    # The first part says nothing new, but an index can be entered with it.
    return and_(column >= value, or_(beyond, after(columns[1:], values[1:])))


def _document(text: str) -> Any:
    """Give a JSON text as it is, on one line; what is none stays the text that it is."""
    try:
        return msgspec.Raw(msgspec.json.format(text.encode(), indent=-1))
    except msgspec.DecodeError:
        return text
