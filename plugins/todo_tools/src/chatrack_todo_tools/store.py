"""The todos in the database. Every statement carries the two conditions of the owner."""

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
_OWN_TODO = (todos.c.id == bindparam("todo"), owned_by(todos))


class TodoStore:
    """The todos of all users. Each method sees those of one user; others' todos do not exist for it.

    The caller has validated the values.

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
            user: the owner.
            status: only todos with this status.
            priority: only todos with this priority.
            limit: how many at most.
            offset: how many to skip.
        """
        conditions: list[ColumnElement[bool]] = [owned_by(todos)]
        if status is not None:
            conditions.append(todos.c.status == status)
        if priority is not None:
            conditions.append(todos.c.priority == priority)
        rows = (
            select(*_FIELDS)
            .where(*conditions)
            .order_by(todos.c.created_at.desc(), todos.c.id.desc())
            .limit(limit)
            .offset(offset)
        )
        count = select(func.count()).select_from(todos).where(*conditions)
        async with self.database.read() as connection:
            found = (await connection.execute(rows, owner_values(user))).all()
            total = (await connection.execute(count, owner_values(user))).scalar_one()
        return TodoPage(todos=[_todo(row) for row in found], total=total, limit=limit, offset=offset)

    async def change(self, user: User, todo_id: str, changes: Mapping[str, Any]) -> Todo | None:
        """Change some fields of a todo; one that has all these values already is not touched.

        Args:
            user: the owner.
            todo_id: the todo.
            changes: new values by field. `completed_at` follows `status`.

        Returns:
            The changed todo, or None if the user has no such todo.
        """
        values = {"todo": todo_id, **owner_values(user)}

        async def work(connection: AsyncConnection) -> Todo | None:
            row = (
                await connection.execute(select(*_FIELDS).where(*_OWN_TODO).with_for_update(), values)
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
            await connection.execute(update(todos).where(*_OWN_TODO).values(**new), values)
            return _todo((await connection.execute(select(*_FIELDS).where(*_OWN_TODO), values)).one())

        return await self.database.write(work)

    async def delete(self, user: User, todo_id: str) -> Todo | None:
        """Delete a todo.

        Returns:
            The deleted todo, or None if the user has no such todo.
        """
        values = {"todo": todo_id, **owner_values(user)}

        async def work(connection: AsyncConnection) -> Todo | None:
            row = (
                await connection.execute(select(*_FIELDS).where(*_OWN_TODO).with_for_update(), values)
            ).one_or_none()
            if row is None:
                return None
            await connection.execute(delete(todos).where(*_OWN_TODO), values)
            return _todo(row)

        return await self.database.write(work)


def _now() -> int:
    return time.time_ns() // 1000


def _todo(row: Row[Any]) -> Todo:
    return Todo(**row._mapping)  # noqa: SLF001  (SQLAlchemy's public name for a row as a mapping)
