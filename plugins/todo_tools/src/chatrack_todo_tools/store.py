"""Where todos live. Every statement carries the owner's two conditions."""

import time
from collections.abc import Mapping
from typing import Any

import uuid_utils
from sqlalchemy import ColumnElement, Row, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack import User
from chatrack.sql import Database, owned_by, owner_row, owner_values
from chatrack_todo_tools.tables import todos
from chatrack_todo_tools.todo import Status, Todo, TodoPage

_FIELDS = [todos.c[name] for name in Todo.__struct_fields__]
_MINE = (todos.c.id == bindparam("todo"), owned_by(todos))


class TodoStore:
    """The todos of all users; every method sees those of one.

    Values are taken as they are: whoever calls has checked them. A todo of somebody else is no different
    from one that does not exist.

    Args:
        database: where the table is.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    async def create(
        self, user: User, *, title: str, description: str | None, priority: int, due_at: str | None
    ) -> Todo:
        """Add a pending todo."""
        moment = _now()
        todo = Todo(
            id=f"todo_{uuid_utils.uuid7().hex}",
            title=title,
            description=description,
            priority=priority,
            due_at=due_at,
            created_at=moment,
            updated_at=moment,
        )
        row = {name: getattr(todo, name) for name in todo.__struct_fields__}
        row |= owner_row(user)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(insert(todos), row)

        await self.database.write(work)
        return todo

    async def page(
        self, user: User, *, status: Status | None, priority: int | None, limit: int, offset: int
    ) -> TodoPage:
        """List todos, newest first.

        Args:
            user: whose.
            status: only those with this status.
            priority: only those with this priority.
            limit: how many at most.
            offset: how many to skip.
        """
        wanted: list[ColumnElement[bool]] = [owned_by(todos)]
        if status is not None:
            wanted.append(todos.c.status == status)
        if priority is not None:
            wanted.append(todos.c.priority == priority)
        rows = (
            select(*_FIELDS)
            .where(*wanted)
            .order_by(todos.c.created_at.desc(), todos.c.id.desc())
            .limit(limit)
            .offset(offset)
        )
        count = select(func.count()).select_from(todos).where(*wanted)
        async with self.database.read() as connection:
            found = (await connection.execute(rows, owner_values(user))).all()
            total = (await connection.execute(count, owner_values(user))).scalar_one()
        return TodoPage(todos=[_todo(row) for row in found], total=total, limit=limit, offset=offset)

    async def change(self, user: User, todo_id: str, changes: Mapping[str, Any]) -> Todo | None:
        """Give some fields of a todo new values; one that already has them all stays untouched.

        Args:
            user: whose.
            todo_id: which.
            changes: new values by field. `completed_at` follows `status`.

        Returns:
            The todo as it is now, or None if the user has no such todo.
        """
        values = {"todo": todo_id, **owner_values(user)}

        async def work(connection: AsyncConnection) -> Todo | None:
            row = (
                await connection.execute(select(*_FIELDS).where(*_MINE).with_for_update(), values)
            ).one_or_none()
            if row is None:
                return None
            before = _todo(row)
            new = {name: value for name, value in changes.items() if value != getattr(before, name)}
            if not new:
                return before
            new["updated_at"] = moment = max(_now(), before.updated_at)
            if "status" in new:
                new["completed_at"] = moment if new["status"] == "completed" else None
            await connection.execute(update(todos).where(*_MINE).values(**new), values)
            return _todo((await connection.execute(select(*_FIELDS).where(*_MINE), values)).one())

        return await self.database.write(work)

    async def delete(self, user: User, todo_id: str) -> Todo | None:
        """Delete a todo.

        Returns:
            What it was, or None if the user has no such todo.
        """
        values = {"todo": todo_id, **owner_values(user)}

        async def work(connection: AsyncConnection) -> Todo | None:
            row = (
                await connection.execute(select(*_FIELDS).where(*_MINE).with_for_update(), values)
            ).one_or_none()
            if row is None:
                return None
            await connection.execute(delete(todos).where(*_MINE), values)
            return _todo(row)

        return await self.database.write(work)


def _now() -> int:
    return time.time_ns() // 1000


def _todo(row: Row[Any]) -> Todo:
    return Todo(**row._mapping)  # noqa: SLF001  (SQLAlchemy's public name for a row as a mapping)
