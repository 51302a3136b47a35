"""A ChatKit store over sqlite3, as the SDK's documentation sketches stores for other databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chatkit.store import NotFoundError, Store
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata
from pydantic import BaseModel, TypeAdapter

_THREAD: TypeAdapter[ThreadMetadata] = TypeAdapter(ThreadMetadata)
_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
_ATTACHMENT: TypeAdapter[Attachment] = TypeAdapter(Attachment)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS threads (id TEXT PRIMARY KEY, created_at TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    id TEXT PRIMARY KEY, thread_id TEXT NOT NULL, created_at TEXT NOT NULL, data TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS attachments (id TEXT PRIMARY KEY, data TEXT NOT NULL);
"""


class SqliteStore(Store[dict[str, Any]]):
    """One JSON document per row, a connection per operation, blocking calls in the event loop.

    Its defects are left in deliberately: a team that replaced the sample's database driver has them too.
    Threads and items are ordered by `created_at` alone, and ids are expected to be unique, so that a second
    item with the same id (every message is ``__fake_id__`` on Chat Completions) replaces the first.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with self._connection() as connection:
            connection.executescript(_SCHEMA)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def _load(self, table: str, row_id: str) -> str:
        with self._connection() as connection:
            row = connection.execute(f"SELECT data FROM {table} WHERE id = ?", (row_id,)).fetchone()
        if row is None:
            raise NotFoundError(f"{row_id} not found in {table}")
        return str(row[0])

    def _page(
        self, table: str, where: str, args: list[Any], after: str | None, limit: int, order: str
    ) -> tuple[list[str], bool, str | None]:
        """Return the `data` of a page's rows, whether there are more, and the cursor of the next page."""
        ascending = order == "asc"
        with self._connection() as connection:
            if after:
                row = connection.execute(f"SELECT created_at FROM {table} WHERE id = ?", (after,)).fetchone()
                if row is None:
                    raise NotFoundError(f"{after} not found in {table}")
                where += f" AND created_at {'>' if ascending else '<'} ?"
                args = [*args, row[0]]
            rows = connection.execute(
                f"SELECT id, data FROM {table} WHERE {where} "
                f"ORDER BY created_at {'ASC' if ascending else 'DESC'} LIMIT ?",
                [*args, limit + 1],
            ).fetchall()
        more = len(rows) > limit
        rows = rows[:limit]
        return [row[1] for row in rows], more, rows[-1][0] if more else None

    async def load_thread(self, thread_id: str, context: dict[str, Any]) -> ThreadMetadata:
        return _THREAD.validate_json(self._load("threads", thread_id))

    async def save_thread(self, thread: ThreadMetadata, context: dict[str, Any]) -> None:
        with self._connection() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO threads (id, created_at, data) VALUES (?, ?, ?)",
                (thread.id, thread.created_at.isoformat(), thread.model_dump_json()),
            )

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: dict[str, Any]
    ) -> Page[ThreadMetadata]:
        rows, more, cursor = self._page("threads", "1 = 1", [], after, limit, order)
        return Page(data=[_THREAD.validate_json(row) for row in rows], has_more=more, after=cursor)

    async def delete_thread(self, thread_id: str, context: dict[str, Any]) -> None:
        with self._connection() as connection:
            connection.execute("DELETE FROM threads WHERE id = ?", (thread_id,))
            connection.execute("DELETE FROM items WHERE thread_id = ?", (thread_id,))

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: dict[str, Any]
    ) -> Page[ThreadItem]:
        rows, more, cursor = self._page("items", "thread_id = ?", [thread_id], after, limit, order)
        return Page(data=[_ITEM.validate_json(row) for row in rows], has_more=more, after=cursor)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: dict[str, Any]) -> None:
        await self.save_item(thread_id, item, context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: dict[str, Any]) -> None:
        with self._connection() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO items (id, thread_id, created_at, data) VALUES (?, ?, ?, ?)",
                (item.id, thread_id, item.created_at.isoformat(), item.model_dump_json()),
            )

    async def load_item(self, thread_id: str, item_id: str, context: dict[str, Any]) -> ThreadItem:
        return _ITEM.validate_json(self._load("items", item_id))

    async def delete_thread_item(self, thread_id: str, item_id: str, context: dict[str, Any]) -> None:
        with self._connection() as connection:
            connection.execute("DELETE FROM items WHERE id = ? AND thread_id = ?", (item_id, thread_id))

    async def save_attachment(self, attachment: Attachment, context: dict[str, Any]) -> None:
        document: BaseModel = attachment
        with self._connection() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO attachments (id, data) VALUES (?, ?)",
                (attachment.id, document.model_dump_json()),
            )

    async def load_attachment(self, attachment_id: str, context: dict[str, Any]) -> Attachment:
        return _ATTACHMENT.validate_json(self._load("attachments", attachment_id))

    async def delete_attachment(self, attachment_id: str, context: dict[str, Any]) -> None:
        with self._connection() as connection:
            connection.execute("DELETE FROM attachments WHERE id = ?", (attachment_id,))
