"""A new SQLite file that many processes open at the same moment."""

import asyncio
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from chatrack.sql import Database
from tests.support.forked import context
from tests.support.waiting import PROCESS_LIMIT


def open_at_once(path: Path, count: int) -> list[int | None]:
    """Open a file that does not exist yet in several processes at once, and return their exit codes."""
    barrier = context.Barrier(count)
    openers = [context.Process(target=_open, args=(str(path), barrier)) for _ in range(count)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join(PROCESS_LIMIT)
    return [opener.exitcode for opener in openers]


def _open(path: str, barrier: Any) -> None:
    async def work() -> None:
        database = Database(URL.create("sqlite", database=path))
        barrier.wait(PROCESS_LIMIT)
        await database.start()
        try:
            await database.write(
                lambda connection: connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS t (a)")
            )
        finally:
            await database.stop()

    asyncio.run(work())
