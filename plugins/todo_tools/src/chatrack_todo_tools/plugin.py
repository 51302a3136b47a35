"""The plugin: its settings, its database and its hooks."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from sqlalchemy.exc import ArgumentError

import chatrack
from chatrack import AgentSpec, Migrations, Secret, StartupError, Tool, UserData, hookimpl
from chatrack.sql import Database, OwnedTable, TableData
from chatrack_todo_tools.store import TodoStore
from chatrack_todo_tools.tables import metadata, todos
from chatrack_todo_tools.tools import todo_tools

INSTRUCTIONS = """\
You keep the todo list of {user.name}. Today is {today}.

- Use the tools for everything about the list; never answer from memory, and never invent todos or ids.
- To change, complete or delete a todo, take its id from list_todos. If several could be meant, ask which.
- If a request is complete, act on it at once. Set a priority or a due date only if the user gave one.
- Afterwards confirm in one sentence what you did. Show lists as short bullet points, and never show ids.
- If a tool answers with an error, correct the arguments, or tell the user plainly what is not possible.
- Answer in the language of the user.
"""


class TodoToolsPlugin:
    """A todo list for each user, in the store's database or in one of its own."""

    api = 1

    class Settings(chatrack.Settings):
        """`[plugins.todo_tools]`."""

        url: Secret | None = None
        """The URL of a database of the plugin's own; without it, the store's database is used."""

    def __init__(self, settings: Settings) -> None:
        self._own_database = None if settings.url is None else _create_database(settings.url)

    @hookimpl
    def tools(self, database: Database | None) -> Sequence[Tool]:
        """Return the five tools."""
        return todo_tools(TodoStore(self._database(database)))

    @hookimpl
    def agents(self) -> Sequence[AgentSpec]:
        """Return the agent that keeps the list."""
        return [
            AgentSpec(
                name="todo",
                description="Keeps the user's todo list: adds, lists, changes, completes and deletes todos.",
                instructions=INSTRUCTIONS,
                tools=["todo_tools.*"],
            )
        ]

    @hookimpl
    def user_data(self, database: Database | None) -> UserData:
        """Return the todos for exports and purges."""
        table = OwnedTable(
            table=todos,
            kind="todo",
            order=["created_at"],
            timestamps=["created_at", "updated_at", "completed_at"],
            age="updated_at",
        )
        return TableData(self._database(database), name="todo_tools", tables=[table])

    @hookimpl
    def migrations(self, database: Database | None) -> Migrations:
        """Return the migrations of the table."""
        return Migrations(
            name="todo_tools",
            folder=Path(__file__).parent / "migrations",
            version_table="todo_tools_version",
            database=self._database(database),
            tables=metadata,
        )

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[Any]:
        """Start and stop the plugin's own database; the store's is started and stopped by the store."""
        return contextlib.nullcontext() if self._own_database is None else _running(self._own_database)

    def _database(self, database: Database | None) -> Database:
        chosen = self._own_database or database
        if chosen is None:
            raise StartupError("the store has no SQL database; set `[plugins.todo_tools] url`")
        return chosen


def _create_database(url: Secret) -> Database:
    label = "plugins.todo_tools.url"
    try:
        return Database(url.reveal(), label=label)
    except ArgumentError:
        # Without the cause, which may repeat the URL and its password.
        raise StartupError(f"{label}: not a SQLAlchemy URL, such as sqlite:////data/todos.db") from None


@contextlib.asynccontextmanager
async def _running(database: Database) -> AsyncGenerator[None]:
    await database.start()
    try:
        yield
    finally:
        await database.stop()
