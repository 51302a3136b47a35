"""The rows of the database at the end, and checks of the leases during the run."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import Row, select

from chatrack.sql import Database
from chatrack.sql.tables import items, leases
from chatrack_todo_tools.tables import todos
from tests.chaos.journal import Journal

_EVERY = 0.25

_ITEMS = select(items).order_by(items.c.thread_id, items.c.seq)
_LEASES = select(leases.c.thread_id, leases.c.turn_id, leases.c.fence)
_TODOS = select(todos.c.id, todos.c.title)


class Stored:
    """The rows of a database at the end of a run."""

    def __init__(self) -> None:
        self.items: dict[str, list[Row[Any]]] = defaultdict(list)
        """By thread, in order."""
        self.leases: dict[str, Row[Any]] = {}
        """By thread."""
        self.todos: dict[str, str] = {}
        """Titles by id."""


async def read(database: Database) -> Stored:
    """Read all rows."""
    stored = Stored()
    async with database.read() as connection:
        for item in await connection.execute(_ITEMS):
            stored.items[item.thread_id].append(item)
        stored.leases = {row.thread_id: row for row in await connection.execute(_LEASES)}
        stored.todos = {row.id: row.title for row in await connection.execute(_TODOS)}
    return stored


@contextlib.asynccontextmanager
async def watching_leases(database: Database, journal: Journal) -> AsyncIterator[None]:
    """Check the leases during the run: fences only grow, and each belongs to one turn."""
    watcher = asyncio.create_task(_watch(database, journal))
    try:
        yield
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher


async def _watch(database: Database, journal: Journal) -> None:
    fences: dict[str, int] = {}
    turns: dict[tuple[str, int], str] = {}
    while True:
        async with database.read() as connection:
            rows = (await connection.execute(_LEASES)).all()
        for thread_id, turn_id, fence in rows:
            if fence < fences.get(thread_id, 0):
                journal.problem(None, f"{thread_id}: its fence fell from {fences[thread_id]} to {fence}")
            fences[thread_id] = fence
            if turn_id is not None and turns.setdefault((thread_id, fence), turn_id) != turn_id:
                journal.problem(None, f"{thread_id}: fence {fence} was given to {turn_id} and another")
        journal.counts["looks at the leases"] += 1
        await asyncio.sleep(_EVERY)
