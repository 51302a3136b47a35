"""A table whose rows belong to users: how its rows are exported, and how they are deleted."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Column, ColumnElement, Table, and_, delete, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.clock import from_micros, to_wire
from chatrack.interfaces.user_data import UserRecord
from chatrack.sql.ownership import owned_by

_OWNER = ("tenant_id", "user_id")
_RESERVED = ("source", "kind")
"""The fields that every line of an export begins with."""

_MAX_PARENTS = 100
"""How many rows with children are deleted in one transaction."""

_MAX_CHILDREN = 2000
"""About how many children are deleted with them: in SQLite, all other writers wait for the transaction."""

Row = Mapping[str, Any]
BeforeDelete: TypeAlias = Callable[[AsyncConnection, ColumnElement[bool], Mapping[str, Any]], Awaitable[None]]


class OwnedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table whose rows belong to users.

    Args:
        table: the table; it has `owner_columns` and a primary key.
        kind: the kind of a row in an export.
        order: the columns by which an export is sorted, before those of the primary key; never NULL.
        timestamps: columns that hold microseconds since 1970.
        json_columns: columns of text that hold JSON.
        age: which of the `timestamps` says how old a row is; if None, no row is ever too old.
        where: a condition on the rows; the other rows of the table are left alone.
        children: tables whose rows are exported and deleted with a row of this one, whose primary key is then one
            column.
        parent_key: in a child, the column that names the row it belongs to.
        size: the column that holds about how many children a row has.
        before_delete: called in the transaction that deletes rows of this table, with the connection, the condition that
            they fulfil and its parameters.

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
    before_delete: BeforeDelete | None = None

    def __post_init__(self) -> None:
        single = [name for name in (self.age, self.parent_key, self.size) if name is not None]
        for name in (*_OWNER, *self.order, *self.timestamps, *self.json_columns, *single):
            if name not in self.table.c:
                raise ValueError(f"the table {self.table.name} has no column {name}")
        if self.children and (len(self.key) != 1 or any(child.parent_key is None for child in self.children)):
            raise ValueError(
                f"the children of {self.table.name} need a `parent_key`, and its primary key has to be one column"
            )

    @property
    def key(self) -> list[Column[Any]]:
        """The primary key."""
        return list(self.table.primary_key)

    @property
    def sorting(self) -> list[Column[Any]]:
        """The columns that an export is sorted by, without the `parent_key`: the children of one row are sorted."""
        return [
            *(self.table.c[name] for name in self.order),
            *(column for column in self.key if column.name not in (*self.order, self.parent_key)),
        ]

    def record(self, row: Row) -> UserRecord:
        """Return a row as an export shows it: without its owner, times in ISO 8601, JSON as JSON."""
        fields = {}
        for name in self.table.c.keys():  # noqa: SIM118  (iterating gives columns)
            if name in _OWNER:
                continue
            value = row[name]
            if value is not None and name in self.timestamps:
                value = to_wire(from_micros(value))
            elif value is not None and name in self.json_columns:
                value = _raw_json(value)
            fields[f"{self.kind}_{name}" if name in _RESERVED else name] = value
        return UserRecord(kind=self.kind, fields=fields)

    def batches(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """Divide rows into batches that are deleted in one transaction each."""
        if not self.children:
            yield rows
            return
        batch: list[Row] = []
        children = 0
        for row in rows:
            size = 0 if self.size is None else row[self.size]
            if batch and (len(batch) == _MAX_PARENTS or children + size > _MAX_CHILDREN):
                yield batch
                batch, children = [], 0
            batch.append(row)
            children += size
        if batch:
            yield batch

    async def remove(
        self,
        connection: AsyncConnection,
        rows: Sequence[Row],
        condition: ColumnElement[bool],
        values: Mapping[str, Any],
        *,
        of_user: bool,
    ) -> dict[str, int]:
        """Delete rows and their children, unless the rows have changed since they were read.

        Args:
            connection: inside a transaction.
            rows: with their primary keys.
            condition: what must still be true of a row.
            values: the parameters of the condition.
            of_user: whether `values` names a user, to whom the children have to belong.

        Returns:
            How many of each kind were deleted.
        """
        selected = self._has_key_of(rows)
        removed = dict.fromkeys((self.kind, *(child.kind for child in self.children)), 0)
        if self.children:
            # All transactions lock this row first: no child is added any more, and none waits in a circle.
            (key,) = self.key
            locked = select(key).where(selected, condition).order_by(key).with_for_update()
            ids = (await connection.execute(locked, values)).scalars().all()
            for child in reversed(self.children):
                assert child.parent_key is not None
                conditions: list[ColumnElement[bool]] = [child.table.c[child.parent_key].in_(ids)]
                if of_user:
                    conditions.append(owned_by(child.table))
                removed[child.kind] += await child.delete(connection, and_(*conditions), values)
            selected = key.in_(ids)
        removed[self.kind] += await self.delete(connection, and_(selected, condition), values)
        return removed

    async def delete(
        self, connection: AsyncConnection, condition: ColumnElement[bool], values: Mapping[str, Any]
    ) -> int:
        """Delete the rows that fulfil a condition, and return how many there were."""
        if self.before_delete is not None:
            await self.before_delete(connection, condition, values)
        deleted = await connection.execute(delete(self.table).where(condition), values)
        return deleted.rowcount

    def _has_key_of(self, rows: Sequence[Row]) -> ColumnElement[bool]:
        """Return the condition that a row has the primary key of one of these."""
        first, *rest = self.key
        has_first = first.in_([row[first.name] for row in rows])
        if not rest:
            return has_first
        # The first column also by itself: not every database uses an index for the condition on all columns.
        keys = [tuple(row[column.name] for column in self.key) for row in rows]
        return and_(has_first, tuple_(*self.key).in_(keys))


def is_after(columns: Sequence[ColumnElement[Any]], values: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that a row comes after the one with these values, in the order of these columns."""
    column, value = columns[0], values[0]
    greater: ColumnElement[bool] = column > value
    if len(columns) == 1:
        return greater
    # The second condition implies the first, for which databases use an index.
    return and_(column >= value, or_(greater, is_after(columns[1:], values[1:])))


def _raw_json(text: str) -> Any:
    """Return JSON as it is, on one line; a text that is not JSON stays a text."""
    try:
        return msgspec.Raw(msgspec.json.format(text.encode(), indent=-1))
    except msgspec.DecodeError:
        return text
