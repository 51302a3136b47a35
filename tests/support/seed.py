"""A database with rows in every table, of two tenants and three users, and values that are easily corrupted."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert, select

from chatrack.assembly import assemble, connected, migrate_all
from chatrack.sql import Database
from chatrack.sql.tables import (
    attachments,
    deleted_files,
    feedback,
    installation,
    items,
    leases,
    pauses,
    threads,
    usage,
)
from chatrack_todo_tools.tables import todos

OWNERS = (("default", "local"), ("default", "anna"), ("Äcme", "local"))

TEXTS = (
    "",
    "plain",
    " space around ",
    "ünïcödé e\u0301",
    "😀𐍈 \u2028\u2029\ufeff\U0010ffff",
    "quote ' \" ` \\ \\' %s %(a)s :b {c} $1 ?",
    "line\r\nbreak\ttab",
    "null",
    "\u0001\u001f\u007f",
)

IDS = ("a", "B", "A", "b", "Z", "z9", "_", "~", "10", "9")
"""Ends of ids that databases sort differently."""

MEGABYTE = 1_000_000


def fill(config: Path, *, count: int = 12, each: int = 5, large: bool = True) -> None:
    """Create the tables of a config and fill them.

    Args:
        config: the config file; its store is one of ours, and todo_tools is enabled.
        count: the number of threads.
        each: the number of items of each thread.
        large: whether some items have a megabyte.
    """
    rows = _rows(count, each, large=large)
    assembly = assemble(config)

    async def work() -> None:
        await migrate_all(assembly)
        async with connected(assembly):
            databases = {
                table.name: result.value.database
                for result in assembly.migrations
                for table in result.value.tables.tables.values()
            }
            for table, values in rows:
                for start in range(0, len(values), 1000):
                    await _insert(databases[table.name], table, values[start : start + 1000])

    asyncio.run(work())


def contents(config: Path) -> dict[str, list[str]]:
    """Return the rows of all tables of a config, sorted."""
    assembly = assemble(config)

    async def work() -> dict[str, list[str]]:
        found = {}
        async with connected(assembly):
            for result in assembly.migrations:
                for table in result.value.tables.sorted_tables:
                    async with result.value.database.read() as connection:
                        rows = (await connection.execute(select(*table.columns))).all()
                    found[table.name] = sorted(map(repr, rows))
        return found

    return asyncio.run(work())


async def _insert(database: Database, table: Table, values: Sequence[Mapping[str, Any]]) -> None:
    await database.write(lambda connection: connection.execute(insert(table), values))


def _rows(count: int, each: int, *, large: bool) -> list[tuple[Table, list[dict[str, Any]]]]:
    found: dict[Table, list[dict[str, Any]]] = {
        table: []
        for table in (
            threads,
            items,
            deleted_files,
            installation,
            leases,
            attachments,
            feedback,
            pauses,
            usage,
            todos,
        )
    }
    for number in range(count):
        tenant, user = OWNERS[number % len(OWNERS)]
        owner = {"tenant_id": tenant, "user_id": user}
        text = TEXTS[number % len(TEXTS)]
        thread = f"thr_{number // len(IDS)}{IDS[number % len(IDS)]}"
        moment = 1_700_000_000_000_000 + number
        found[threads].append(
            {
                "id": thread,
                **owner,
                "created_at": moment,
                "title": text if number % 3 else None,
                "status": '{"type":"active"}',
                "metadata": json.dumps({"text": text}, ensure_ascii=number % 2 == 0),
                "allowed_image_domains": '["a.example"]' if number % 4 == 0 else None,
                "next_seq": each + 1,
                "history_from": number % 2,
                "updated_at": moment + 1,
            }
        )
        for seq in range(1, each + 1):
            heavy = large and number % 5 == 0 and seq == 2
            body = TEXTS[(number + seq) % len(TEXTS)] + ("ü\\" * (MEGABYTE // 3) if heavy else "")
            item = f"msg_{IDS[seq % len(IDS)]}{seq}"
            found[items].append(
                {
                    "thread_id": thread,
                    "seq": seq,
                    "id": item,
                    **owner,
                    "type": "assistant_message" if seq % 3 else "sdk_hidden_context",
                    "turn_id": f"trn_{number}_{seq}" if seq % 2 else None,
                    "hidden": seq % 3 == 0,
                    "uncommitted": seq == each and number % 7 == 0,
                    "format": 1,
                    "data": json.dumps({"id": item, "text": body}, ensure_ascii=False),
                    "origin": ("", None, '{"id":"rs_1"}')[seq % 3],
                }
            )
        if number % 2:
            found[leases].append(
                {
                    "thread_id": thread,
                    **owner,
                    "turn_id": f"trn_{number}" if number % 3 else None,
                    "fence": 2**40 + number,
                    "expires_at": 0,
                }
            )
            found[feedback].append(
                {"thread_id": thread, "item_id": "msg_B1", **owner, "kind": "negative", "created_at": moment}
            )
        if number % 3 == 0:
            found[pauses].append(
                {
                    "thread_id": thread,
                    "item_id": "msg_B1",
                    **owner,
                    "turn_id": f"trn_{number}",
                    "kind": "client_tool",
                    "data": json.dumps({"text": text}),
                    "created_at": -moment,
                }
            )
        found[attachments].append(
            {
                "id": f"atc_{number}",
                **owner,
                "thread_id": thread if number % 2 else None,
                "data": json.dumps({"name": text}),
                "created_at": moment,
            }
        )
        found[deleted_files].append({"id": f"atc_gone{number}", **owner, "deleted_at": moment})
        found[usage].append(
            {
                "turn_id": f"trn_{number // 2}",
                "agent": text,
                "model": f"openai/{number}",
                **owner,
                "thread_id": "thr_gone",
                "requests": number,
                "input_tokens": None if number % 2 else 2**50,
                "cached_tokens": 0,
                "output_tokens": number,
                "reasoning_tokens": None,
                "created_at": moment,
            }
        )
        found[todos].append(
            {
                "id": f"todo_{number}",
                **owner,
                "title": text,
                "description": text if number % 2 else None,
                "status": "pending",
                "priority": number % 4,
                "due_at": "2026-01-01" if number % 2 else None,
                "created_at": moment,
                "updated_at": moment,
                "completed_at": None if number % 2 else moment,
            }
        )
    found[installation].append({"number": 1, "id": "0" * 32})
    return list(found.items())
