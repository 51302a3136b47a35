"""The lower bound for reads: Litestar, SQLAlchemy and aiosqlite with nothing in between.

One query, whose JSON documents are decoded and encoded again, as in an app without a chat layer. At start
it fills a database of its own (``BARE_DB``, in the environment) with as many rows, of the same shape, as
the other sides are seeded with.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, get
from sqlalchemy import JSON, Column, MetaData, String, Table, desc, insert, select
from sqlalchemy.ext.asyncio import create_async_engine

from bench.seed import MESSAGES, THREADS

PAGE = 20

_metadata = MetaData()
_threads = Table("threads", _metadata, Column("id", String, primary_key=True), Column("data", JSON))
_items = Table(
    "items",
    _metadata,
    Column("id", String, primary_key=True),
    Column("thread_id", String, index=True),
    Column("data", JSON),
)
_engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['BARE_DB']}")


def _thread(number: int) -> dict[str, Any]:
    return {
        "id": f"thr_{number:08}",
        "created_at": "2025-01-01T00:00:00.000000",
        "status": {"type": "active"},
        "metadata": {},
        "items": {"data": [], "has_more": False},
    }


def _item(thread: int, number: int) -> dict[str, Any]:
    common = {
        "id": f"msg_{thread:08}{number:08}",
        "thread_id": f"thr_{thread:08}",
        "created_at": "2025-01-01T00:00:00.000000",
    }
    if number % 2:
        text = {"annotations": [], "text": "w0 w1 w2 w3 w4 w5 w6 w7 ", "type": "output_text"}
        return {**common, "type": "assistant_message", "content": [text]}
    content = [{"type": "input_text", "text": "hi"}]
    return {
        **common,
        "type": "user_message",
        "content": content,
        "attachments": [],
        "inference_options": {},
    }


@asynccontextmanager
async def _lifespan(_: Litestar) -> AsyncIterator[None]:
    items = [_item(0, number) for number in range(2 * MESSAGES)]
    items += [_item(thread, number) for thread in range(1, THREADS) for number in range(2)]
    async with _engine.begin() as connection:
        await connection.run_sync(_metadata.create_all)
        threads = [{"id": row["id"], "data": row} for row in map(_thread, range(THREADS))]
        await connection.execute(insert(_threads), threads)
        rows = [{"id": row["id"], "thread_id": row["thread_id"], "data": row} for row in items]
        await connection.execute(insert(_items), rows)
    yield
    await _engine.dispose()


@get("/threads")
async def list_threads() -> list[dict[str, Any]]:
    """Return the newest threads."""
    async with _engine.connect() as connection:
        rows = await connection.execute(select(_threads.c.data).order_by(desc(_threads.c.id)).limit(PAGE))
        return list(rows.scalars())


@get("/items")
async def list_items() -> list[dict[str, Any]]:
    """Return the newest items of the longest thread."""
    query = select(_items.c.data).where(_items.c.thread_id == "thr_00000000")
    async with _engine.connect() as connection:
        rows = await connection.execute(query.order_by(desc(_items.c.id)).limit(PAGE))
        return list(rows.scalars())


app = Litestar([list_threads, list_items], lifespan=[_lifespan], openapi_config=None)
