"""A todo, as the store keeps it and as the model is shown it."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

Status = Literal["pending", "in_progress", "completed"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Todo(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of somebody's list.

    Args:
        id: `todo_…`.
        title: 1 to 200 characters on one line.
        description: more about it, up to 1,000 characters.
        status: how far it is.
        priority: 0 (none) to 5 (highest).
        due_at: `YYYY-MM-DD`, or a moment in UTC that ends in `Z`.
        created_at: microseconds since 1970; so are the other two.
        updated_at: when it last changed.
        completed_at: when it was completed; None while it is not.
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
        """Give what the model is shown: no empty fields, times in ISO 8601 with `Z`."""
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
    """A part of somebody's list.

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
        """Give what the model is shown."""
        return {
            "todos": [todo.view() for todo in self.todos],
            "total": self.total,
            "limit": self.limit,
            "offset": self.offset,
            "has_more": self.offset + len(self.todos) < self.total,
        }


def _wire(micros: int) -> str:
    return (_EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")
