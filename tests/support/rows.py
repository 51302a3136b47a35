"""Rows of users, written directly into the tables, with known ids and times."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Table, func, insert, select

from chatrack.interfaces import Migrations
from chatrack.plugins import HookResult
from chatrack.sql import Database, migrate, store_migrations
from chatrack.sql.tables import attachments, feedback, items, leases, pauses, threads, usage
from chatrack_todo_tools import TodoToolsPlugin
from chatrack_todo_tools.tables import todos
from tests.support.databases import PLUGINS, store_tables

TABLES = [threads, items, attachments, feedback, pauses, leases, usage, todos]
"""Tables in the order of their foreign keys."""

SECOND = 1_000_000
MOMENT = 1_767_323_045 * SECOND
"""2026-01-02T03:04:05Z, in microseconds since 1970."""

Rows = Sequence[tuple[Table, Mapping[str, Any]]]

Stored = dict[str, list[str]]
"""The rows of each table, as text and sorted."""


def thread(thread_id: str, tenant: str, user: str, **changes: Any) -> tuple[Table, dict[str, Any]]:
    """Return a row of a thread."""
    row = {
        "id": thread_id,
        "tenant_id": tenant,
        "user_id": user,
        "created_at": MOMENT,
        "title": None,
        "status": '{"type":"active"}',
        "metadata": "{}",
        "allowed_image_domains": None,
        "next_seq": 1,
        "history_from": 0,
        "updated_at": MOMENT,
    }
    return threads, {**row, **changes}


def item(thread_id: str, seq: int, tenant: str, user: str, **changes: Any) -> tuple[Table, dict[str, Any]]:
    """Return a row of an item of a thread."""
    row = {
        "thread_id": thread_id,
        "seq": seq,
        "id": f"msg_{seq}",
        "tenant_id": tenant,
        "user_id": user,
        "type": "user_message",
        "turn_id": None,
        "hidden": False,
        "uncommitted": False,
        "format": 1,
        "data": f'{{"id":"msg_{seq}"}}',
        "origin": None,
    }
    return items, {**row, **changes}


def attachment(
    attachment_id: str, thread_id: str | None, tenant: str, user: str, **changes: Any
) -> tuple[Table, dict[str, Any]]:
    """Return a row of an attachment."""
    row = {
        "id": attachment_id,
        "tenant_id": tenant,
        "user_id": user,
        "thread_id": thread_id,
        "data": f'{{"id":"{attachment_id}"}}',
        "created_at": MOMENT,
    }
    return attachments, {**row, **changes}


def use(
    turn_id: str, tenant: str, user: str, *, agent: str = "helper", **changes: Any
) -> tuple[Table, dict[str, Any]]:
    """Return a row of the usage of a turn."""
    row = {
        "turn_id": turn_id,
        "agent": agent,
        "model": "demo",
        "tenant_id": tenant,
        "user_id": user,
        "thread_id": "thr_gone",
        "requests": 1,
        "input_tokens": 10,
        "cached_tokens": None,
        "output_tokens": 2,
        "reasoning_tokens": None,
        "created_at": MOMENT,
    }
    return usage, {**row, **changes}


def todo(todo_id: str, tenant: str, user: str, **changes: Any) -> tuple[Table, dict[str, Any]]:
    """Return a row of a todo."""
    row = {
        "id": todo_id,
        "tenant_id": tenant,
        "user_id": user,
        "title": "Milk",
        "description": None,
        "status": "pending",
        "priority": 0,
        "due_at": None,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "completed_at": None,
    }
    return todos, {**row, **changes}


def everything(prefix: str, tenant: str, user: str) -> Rows:
    """Return one or two rows of each table, with a prefix in their ids."""
    first, second = f"thr_{prefix}B", f"thr_{prefix}a"
    owner = {"tenant_id": tenant, "user_id": user}
    return [
        # Of first moment, so that the ids decide: "B" before "a", as bytes go.
        thread(second, tenant, user, title="Zwei", updated_at=MOMENT + 5 * SECOND),
        thread(
            first,
            tenant,
            user,
            title='Ünï "1" 🙂',
            status='{"type": "locked",\n "reason": null}',
            metadata='{"b":1.50,"a":["ü"]}',
            allowed_image_domains='["example.com"]',
            next_seq=12,
            history_from=2,
            updated_at=MOMENT + 1,
        ),
        item(first, 10, tenant, user, turn_id="trn_1", data='{"id":"msg_10","text":"tail"}'),
        item(first, 2, tenant, user),
        item(first, 3, tenant, user, type="hidden_context_item", hidden=True, origin='{"id":"resp_1"}'),
        item(first, 11, tenant, user, uncommitted=True),
        item(second, 1, tenant, user),
        attachment(f"atc_{prefix}b", first, tenant, user),
        attachment(f"atc_{prefix}A", first, tenant, user, data='{"id":"A","name":"x.png"}'),
        attachment(f"atc_{prefix}loose", None, tenant, user, created_at=MOMENT + 7),
        (
            feedback,
            {"thread_id": first, "item_id": "msg_2", **owner, "kind": "positive", "created_at": MOMENT + 2},
        ),
        (
            pauses,
            {
                "thread_id": first,
                "item_id": "msg_10",
                **owner,
                "turn_id": "trn_1",
                "kind": "client_tool",
                "data": '{"name":"pick"}',
                "created_at": MOMENT + 3,
            },
        ),
        (leases, {"thread_id": first, **owner, "turn_id": "trn_1", "fence": 3, "expires_at": 1}),
        use(f"trn_{prefix}2", tenant, user, created_at=MOMENT + SECOND),
        use(f"trn_{prefix}9", tenant, user, agent="b"),
        use(f"trn_{prefix}9", tenant, user, agent="B", input_tokens=None),
        todo(f"todo_{prefix}2", tenant, user, created_at=MOMENT + SECOND, updated_at=MOMENT + 9 * SECOND),
        todo(f"todo_{prefix}1", tenant, user, title="Brot", status="completed", completed_at=MOMENT + 1),
    ]


def histories(database: Database) -> list[Migrations]:
    """Return the migrations of all tables."""
    plugin = TodoToolsPlugin(TodoToolsPlugin.Settings())
    return [store_migrations(database), plugin.migrations(database)]


async def make_tables(database: Database) -> None:
    """Create the tables of the store and of todo_tools in a started database."""
    for history in histories(database):
        await migrate(history)


async def put(database: Database, rows: Rows) -> None:
    """Write rows of any tables into a started database."""

    async def work(connection: Any) -> None:
        for table in TABLES:
            of_table = [dict(row) for other, row in rows if other is table]
            if of_table:
                await connection.execute(insert(table), of_table)

    await database.write(work)


async def count(database: Database, tables: Iterable[Table] = TABLES, **where: Any) -> dict[str, int]:
    """Count the rows of each table with certain values, by the table's short name."""
    found = {}
    async with database.read() as connection:
        for table in tables:
            conditions = [table.c[name] == value for name, value in where.items()]
            total = await connection.execute(select(func.count()).select_from(table).where(*conditions))
            found[table.name.partition("_")[2].removeprefix("tools_")] = total.scalar_one()
    return found


async def stored(
    migrations: Iterable[HookResult[Migrations]], *, besides: tuple[str, str] | None = None
) -> Stored:
    """Return all rows of all tables of a running server, for comparison.

    Args:
        migrations: the server's `assembly.migrations`.
        besides: the tenant and the user whose rows are left out.
    """
    found: Stored = {}
    for result in migrations:
        for table in result.value.tables.sorted_tables:
            if table.name == "chatrack_installation":  # says nothing about users
                continue
            assert {"tenant_id", "user_id"} <= set(table.columns.keys()), (
                f"{table.name}: whose rows are these?"
            )
            async with result.value.database.read() as connection:
                rows = (await connection.execute(select(*table.columns))).mappings().all()
            found[table.name] = sorted(
                repr(dict(row)) for row in rows if (row["tenant_id"], row["user_id"]) != besides
            )
    return found


def fill(url: str, *parts: Rows) -> None:
    """Create the tables in a database and write rows, outside of an event loop."""

    async def work() -> None:
        database = Database(url)
        await database.start()
        try:
            await make_tables(database)
            await put(database, [row for part in parts for row in part])
        finally:
            await database.stop()

    asyncio.run(work())


def counts(url: str, **where: Any) -> dict[str, int]:
    """Run `count` outside of an event loop; tables without such rows are left out."""

    async def work() -> dict[str, int]:
        database = Database(url)
        await database.start()
        try:
            return await count(database, **where)
        finally:
            await database.stop()

    return {name: number for name, number in asyncio.run(work()).items() if number}


def config_of(kind: str, url: str, folder: Path, *plugins: str, extra: str = "") -> str:
    """Write a config over a database, and return its path. The audit log is a file beside it."""
    enabled = ", ".join(f'"{name}"' for name in (PLUGINS[kind], "demo_provider", "todo_tools", *plugins))
    path = folder / "config.toml"
    path.write_text(
        f'enabled = [{enabled}]\n[server]\naudit_log = "audit.jsonl"\n[chat]\nmodel = "demo"\n{store_tables(kind, url)}{extra}',
        encoding="utf-8",
    )
    return str(path)
