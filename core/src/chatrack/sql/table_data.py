"""What is kept about users in tables: reading and removing it, a few hundred rows at a time."""

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
from chatrack.sql.owned_table import OwnedTable, Row, after
from chatrack.sql.ownership import owned_by, owner_values

_WHOLE = 100
"""How many whole rows are read at a time; a text may be a megabyte."""

_KEYS = 500
"""How many rows are looked for at a time, by their keys."""


class TableData(UserData):
    """What is kept about users in some tables.

    Args:
        database: where they are; started and stopped with this.
        name: what an export calls the source.
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
                parts = [(part, await self._with_parts(table, part, rows, owner)) for part in table.children]
                for row in rows:
                    yield table.record(row)
                    for part, having in parts:
                        row_id = row[table.key[0].name]
                        if row_id not in having:
                            continue
                        async for found in self._sorted(part, {**owner, "row_id": row_id}):
                            for one in found:
                                yield part.record(one)

    async def purge(self, user: User) -> AsyncIterator[Mapping[str, int]]:
        owner = owner_values(user)
        for table in self.tables:
            mine = and_(owned_by(table.table), _only(table))
            walk = select(*_columns(table, table.sorting)).where(mine)
            async for rows in self._walk(walk, table.sorting, owner, _KEYS):
                async for removed in self._remove(table, rows, mine, owner, mine=True):
                    yield removed

    async def purge_before(self, moment: datetime) -> AsyncIterator[Mapping[str, int]]:
        limit = {"limit": to_micros(moment)}
        for table in self.tables:
            if table.age is None:
                continue
            # There is no index of ages, which would be paid for with every write. So all rows are looked at, in
            # the order of the key, and no statement takes longer because few of them are old.
            old = and_(table.table.c[table.age] < bindparam("limit"), _only(table))
            walk = select(*_columns(table, table.key), old.label("is_old"))
            async for rows in self._walk(walk, table.key, limit, _KEYS):
                chosen = [row for row in rows if row["is_old"]]
                async for removed in self._remove(table, chosen, old, limit, mine=False):
                    yield removed

    async def tenants(self) -> set[str]:
        found = set()
        for table in self.tables:
            tenant = table.table.c.tenant_id
            statement = select(func.min(tenant)).where(_only(table))
            # From one to the next: the rows of one tenant may be millions.
            while (name := await self._scalar(statement)) is not None:
                found.add(name)
                statement = select(func.min(tenant)).where(_only(table), tenant > name)
        return found

    async def _sorted(self, table: OwnedTable, values: Mapping[str, Any]) -> AsyncIterator[Sequence[Row]]:
        """Walk a user's rows, or the parts of one row, in the order of an export."""
        statement = select(*table.table.c).where(owned_by(table.table), _only(table))
        if table.parent_key is not None:
            statement = statement.where(table.table.c[table.parent_key] == bindparam("row_id"))
        async for rows in self._walk(statement, table.sorting, values, _WHOLE, by_bytes=True):
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
        """Give the rows of a query in parts, each found by where the one before ended; no connection is held.

        Args:
            statement: the query.
            columns: those to sort by.
            values: the parameters of the query.
            count: how many rows a part has.
            by_bytes: whether text is sorted the same in every database, with or without an index for it.
        """
        collation = self.database.backend.byte_collation if by_bytes else None
        sorting = [
            column.collate(collation) if collation and isinstance(column.type, String) else column
            for column in columns
        ]
        part = statement = statement.order_by(*sorting).limit(count)
        while True:
            async with self.database.read() as connection:
                rows = (await connection.execute(part, values)).mappings().all()
            if rows:
                yield rows
            if len(rows) < count:
                return
            part = statement.where(after(sorting, [rows[-1][column.name] for column in columns]))

    async def _with_parts(
        self, table: OwnedTable, part: OwnedTable, rows: Sequence[Row], owner: Mapping[str, str]
    ) -> set[Any]:
        """Find out which rows have parts of a kind: most threads have no feedback."""
        (key,) = table.key
        assert part.parent_key is not None
        has = exists().where(part.table.c[part.parent_key] == key, owned_by(part.table))
        statement = select(key).where(key.in_([row[key.name] for row in rows]), owned_by(table.table), has)
        async with self.database.read() as connection:
            return set((await connection.execute(statement, owner)).scalars())

    async def _remove(
        self,
        table: OwnedTable,
        rows: Sequence[Row],
        condition: ColumnElement[bool],
        values: Mapping[str, Any],
        *,
        mine: bool,
    ) -> AsyncIterator[Mapping[str, int]]:
        for batch in table.batches(rows):
            began = time.monotonic()
            work = partial(table.remove, rows=batch, condition=condition, values=values, mine=mine)
            yield await self.database.write(work)
            # Servers want to write too, and in SQLite they get no turn while this one does.
            await asyncio.sleep(time.monotonic() - began)

    async def _scalar(self, statement: Select[Any]) -> Any:
        async with self.database.read() as connection:
            return (await connection.execute(statement)).scalar()


def _only(table: OwnedTable) -> ColumnElement[bool]:
    return true() if table.where is None else table.where


def _columns(table: OwnedTable, sorting: Sequence[Column[Any]]) -> list[Column[Any]]:
    """Give what a walk has to know of a row that is to be removed."""
    size = [] if table.size is None else [table.table.c[table.size]]
    return list(dict.fromkeys([*sorting, *table.key, *size]))
