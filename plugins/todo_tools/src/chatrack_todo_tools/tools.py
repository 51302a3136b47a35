"""The five tools: each validates its arguments, calls the store and returns compact JSON."""

import json
from typing import Any

from chatrack import Tool, ToolContext, ToolError, function_tool
from chatrack_todo_tools import validation
from chatrack_todo_tools.store import TodoStore
from chatrack_todo_tools.todo import Status, Todo


def todo_tools(store: TodoStore) -> list[Tool]:
    """Return the tools over a store. Each works on the list of the user of the turn."""

    async def create_todo(
        ctx: ToolContext,
        title: str,
        description: str | None = None,
        priority: int = 0,
        due_at: str | None = None,
    ) -> str:
        """Add a todo to the user's list.

        Args:
            ctx: who is asking.
            title: What is to be done, in 1 to 200 characters.
            description: More about it, up to 1,000 characters.
            priority: 0 (none) to 5 (highest).
            due_at: When it is due: an ISO 8601 date (2026-12-01), or date and time (2026-12-01T09:00:00+01:00;
                UTC if there is no offset).
        """
        todo = await store.create(
            ctx.context.user,
            title=validation.title(title),
            description=None if description is None else validation.description(description),
            priority=validation.priority(priority),
            due_at=None if due_at is None else validation.due_at(due_at),
        )
        return _json(todo.view())

    async def list_todos(
        ctx: ToolContext,
        status: Status | None = None,
        priority: int | None = None,
        limit: int = 20,
        offset: int = 0,
    ) -> str:
        """List the user's todos, newest first, with their ids. `total` counts all that match.

        Args:
            ctx: who is asking.
            status: Only todos with this status.
            priority: Only todos with this priority, 0 to 5.
            limit: How many to give, 1 to 100.
            offset: How many to skip, for the next page.
        """
        page = await store.page(
            ctx.context.user,
            status=status,
            priority=None if priority is None else validation.priority(priority),
            limit=validation.limit(limit),
            offset=validation.offset(offset),
        )
        return _json(page.view())

    async def update_todo(
        ctx: ToolContext,
        todo_id: str,
        title: str | None = None,
        description: str | None = None,
        status: Status | None = None,
        priority: int | None = None,
        due_at: str | None = None,
    ) -> str:
        """Change a todo. What is left out or null stays as it is.

        Args:
            ctx: who is asking.
            todo_id: The id of the todo, as list_todos gives it.
            title: A new title, in 1 to 200 characters.
            description: A new description, up to 1,000 characters; an empty one removes it.
            status: A new status.
            priority: A new priority, 0 (none) to 5 (highest).
            due_at: A new ISO 8601 date, or date and time; an empty one removes it.
        """
        changes: dict[str, Any] = {}
        if title is not None:
            changes["title"] = validation.title(title)
        if description is not None:
            changes["description"] = validation.description(description)
        if status is not None:
            changes["status"] = status
        if priority is not None:
            changes["priority"] = validation.priority(priority)
        if due_at is not None:
            changes["due_at"] = validation.due_at(due_at)
        if not changes:
            raise ToolError(
                "there is nothing to change; give at least one of title, description, status, priority, due_at."
            )
        return _json(_found(await store.change(ctx.context.user, _id(todo_id), changes), todo_id).view())

    async def complete_todo(ctx: ToolContext, todo_id: str) -> str:
        """Mark a todo as completed; one that is completed already stays as it is.

        Args:
            ctx: who is asking.
            todo_id: The id of the todo, as list_todos gives it.
        """
        todo = await store.change(ctx.context.user, _id(todo_id), {"status": "completed"})
        return _json(_found(todo, todo_id).view())

    async def delete_todo(ctx: ToolContext, todo_id: str) -> str:
        """Delete a todo for good.

        Args:
            ctx: who is asking.
            todo_id: The id of the todo, as list_todos gives it.
        """
        todo = _found(await store.delete(ctx.context.user, _id(todo_id)), todo_id)
        return _json({"id": todo.id, "title": todo.title, "deleted": True})

    return [
        function_tool(tool) for tool in (create_todo, list_todos, update_todo, complete_todo, delete_todo)
    ]


def _id(value: str) -> str:
    # What cannot be an id is replaced by an empty one, which no todo has: databases refuse lone surrogates and NUL.
    text = value.strip()
    return text if text.isascii() and text.isprintable() and len(text) <= 64 else ""


def _found(todo: Todo | None, todo_id: str) -> Todo:
    """Return a todo.

    Raises:
        ToolError: there is none.
    """
    if todo is None:
        raise ToolError(f"there is no todo with the id “{validation.shown_id(todo_id)}”.")
    return todo


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
