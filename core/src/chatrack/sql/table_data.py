"""User data in tables: exporting and deleting it, some hundred rows at a time."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, String, and_, bindparam, exists, func, select, true

from chatrack.clock import to_micros
from chatrack.interfaces.user import User
from chatrack.interfaces.user_data import UserData, UserRecord
from chatrack.sql.database import Database
from chatrack.sql.owned_table import OwnedTable, Row, is_after
from chatrack.sql.ownership import owned_by, owner_values

_ROWS = 100
"""How many whole rows are read at a time; a text may have a megabyte."""

_KEYS = 500
"""How many keys of rows are read at a time."""


class TableData(UserData):
    """What some tables hold about users.

    Args:
        database: the database of the tables; started and stopped with this.
        name: the name of the source in an export.
        tables: the tables, in the order of the export.
    """

    def __init__(self, database: Database, *, name: str, tables: Sequence[OwnedTable]) -> None:
        self.database = database
        self.name = name
        self.tables = list(tables)

    async def start(self) -> None:
        await self.database.start()

    async def stop(self) -> None:
        await self.database.stop()

    async def export(self, user: User) -> AsyncIterator[UserRecord]:
        owner = owner_values(user)
        for table in self.tables:
            async for rows in self._sorted(table, owner):
                parents = [
                    (child, await self._rows_with_children(table, child, rows, owner))
                    for child in table.children
                ]
                for row in rows:
                    yield table.record(row)
                    for child, ids in parents:
                        row_id = row[table.key[0].name]
                        if row_id not in ids:
                            continue
                        async for child_rows in self._sorted(child, {**owner, "row_id": row_id}):
                            for child_row in child_rows:
                                yield child.record(child_row)

    async def purge(self, user: User) -> AsyncIterator[Mapping[str, int]]:
        owner = owner_values(user)
        for table in self.tables:
            owned = and_(owned_by(table.table), _selected(table))
            query = select(*_removal_columns(table, table.sorting)).where(owned)
            async for rows in self._walk(query, table.sorting, owner, _KEYS):
                async for removed in self._remove(table, rows, owned, owner, of_user=True):
                    yield removed

    async def purge_before(self, moment: datetime) -> AsyncIterator[Mapping[str, int]]:
        limit = {"limit": to_micros(moment)}
        for table in self.tables:
            if table.age is None:
                continue
            # An index of ages would make every write dearer. So all rows are read, in the order of the key, and
            # no statement takes longer because few rows are old.
            is_old = and_(table.table.c[table.age] < bindparam("limit"), _selected(table))
            query = select(*_removal_columns(table, table.key), is_old.label("is_old"))
            async for rows in self._walk(query, table.key, limit, _KEYS):
                old_rows = [row for row in rows if row["is_old"]]
                async for removed in self._remove(table, old_rows, is_old, limit, of_user=False):
                    yield removed

    async def tenants(self) -> set[str]:
        tenants = set()
        for table in self.tables:
            tenant = table.table.c.tenant_id
            statement = select(func.min(tenant)).where(_selected(table))
            # From each tenant to the next over the index: a tenant may have millions of rows.
            while (name := await self._scalar(statement)) is not None:
                tenants.add(name)
                statement = select(func.min(tenant)).where(_selected(table), tenant > name)
        return tenants

    async def _sorted(self, table: OwnedTable, values: Mapping[str, Any]) -> AsyncIterator[Sequence[Row]]:
        """Read a user's rows, or the children of one row, in the order of an export."""
        statement = select(*table.table.c).where(owned_by(table.table), _selected(table))
        if table.parent_key is not None:
            statement = statement.where(table.table.c[table.parent_key] == bindparam("row_id"))
        async for rows in self._walk(statement, table.sorting, values, _ROWS, by_bytes=True):
            yield rows

    async def _walk(
        self,
        statement: Select[Any],
        columns: Sequence[Column[Any]],
        values: Mapping[str, Any],
        count: int,
        *,
        by_bytes: bool = False,
    ) -> AsyncIterator[Sequence[Row]]:
        """Read the rows of a query page by page, each after the last row of the one before; no connection is held.

        Args:
            statement: the query.
            columns: the columns to sort by.
            values: the parameters of the query.
            count: how many rows a page has.
            by_bytes: whether text is sorted by its bytes, as in every database, even without an index for it.
        """
        collation = self.database.backend.byte_collation if by_bytes else None
        sorting = [
            column.collate(collation) if collation and isinstance(column.type, String) else column
            for column in columns
        ]
        page = statement = statement.order_by(*sorting).limit(count)
        while True:
            async with self.database.read() as connection:
                rows = (await connection.execute(page, values)).mappings().all()
            if rows:
                yield rows
            if len(rows) < count:
                return
            page = statement.where(is_after(sorting, [rows[-1][column.name] for column in columns]))

    async def _rows_with_children(
        self, table: OwnedTable, child: OwnedTable, rows: Sequence[Row], owner: Mapping[str, str]
    ) -> set[Any]:
        """Return the keys of the rows that have children of a kind: most threads have no feedback to look for."""
        (key,) = table.key
        assert child.parent_key is not None
        has_children = exists().where(child.table.c[child.parent_key] == key, owned_by(child.table))
        statement = select(key).where(
            key.in_([row[key.name] for row in rows]), owned_by(table.table), has_children
        )
        async with self.database.read() as connection:
            return set((await connection.execute(statement, owner)).scalars())

    async def _remove(
        self,
        table: OwnedTable,
        rows: Sequence[Row],
        condition: ColumnElement[bool],
        values: Mapping[str, Any],
        *,
        of_user: bool,
    ) -> AsyncIterator[Mapping[str, int]]:
        for batch in table.batches(rows):
            started = time.monotonic()
            work = partial(table.remove, rows=batch, condition=condition, values=values, of_user=of_user)
            yield await self.database.write(work)
            # In SQLite only one process writes at a time: leave half of the time to the servers.
            await asyncio.sleep(time.monotonic() - started)

    async def _scalar(self, statement: Select[Any]) -> Any:
        async with self.database.read() as connection:
            return (await connection.execute(statement)).scalar()


def _selected(table: OwnedTable) -> ColumnElement[bool]:
    """Return the condition of the table's `where`."""
    return true() if table.where is None else table.where


def _removal_columns(table: OwnedTable, sorting: Sequence[Column[Any]]) -> list[Column[Any]]:
    """Return the columns that are needed to find and delete a row."""
    size = [] if table.size is None else [table.table.c[table.size]]
    return list(dict.fromkeys([*sorting, *table.key, *size]))
