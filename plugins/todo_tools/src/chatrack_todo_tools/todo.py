"""Todos: their fields, and what the model reads of them."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

Status = Literal["pending", "in_progress", "completed"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Todo(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a user's list.

    Args:
        id: `todo_…`.
        title: 1 to 200 characters on one line.
        description: more about it, up to 1,000 characters.
        status: its progress.
        priority: 0 (none) to 5 (highest).
        due_at: `YYYY-MM-DD`, or a time in UTC that ends in `Z`.
        created_at: when it was created, in microseconds since 1970.
        updated_at: when it last changed, in microseconds since 1970.
        completed_at: when it was completed, in microseconds since 1970; None while it is not.
    """

    id: str
    title: str
    description: str | None = None
    status: Status = "pending"
    priority: int = 0
    due_at: str | None = None
    created_at: int
    updated_at: int
    completed_at: int | None = None

    def view(self) -> dict[str, Any]:
        """Return the todo as the model reads it: without empty fields, times in ISO 8601 with `Z`."""
        fields = {
            "id": self.id,
            "title": self.title,
            "description": self.description,
            "status": self.status,
            "priority": self.priority,
            "due_at": self.due_at,
            "created_at": _wire(self.created_at),
            "updated_at": _wire(self.updated_at),
            "completed_at": None if self.completed_at is None else _wire(self.completed_at),
        }
        return {name: value for name, value in fields.items() if value is not None}


class TodoPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a user's list.

    Args:
        todos: the entries, newest first.
        total: how many match in all.
        limit: how many were asked for.
        offset: how many were skipped.
    """

    todos: list[Todo]
    total: int
    limit: int
    offset: int

    def view(self) -> dict[str, Any]:
        """Return the page as the model reads it."""
        return {
            "todos": [todo.view() for todo in self.todos],
            "total": self.total,
            "limit": self.limit,
            "offset": self.offset,
            "has_more": self.offset + len(self.todos) < self.total,
        }


def _wire(micros: int) -> str:
    return (_EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")
