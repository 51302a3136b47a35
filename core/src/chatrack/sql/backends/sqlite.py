"""SQLite: one connection that writes, a few that read."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import aiosqlite
from sqlalchemy import Select, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from chatrack.errors import ConfigError
from chatrack.sql.backends.backend import Backend

_BUSY = 15
"""Seconds to wait for another process's transaction."""

READERS = 4
"""How many connections read at the same time; each is a thread."""

_NAMED = sqlite.dialect(paramstyle="named")
_compiled: dict[Select[Any], tuple[str, Mapping[str, Any]]] = {}
"""The SQL of statements that are built once, with the values of their own."""


class SQLite(Backend):
    """A file."""

    dialect: ClassVar[str] = "sqlite"
    migrates_at_start: ClassVar[bool] = True

    async def open(self) -> None:
        await asyncio.to_thread(self._probe)
        url = self.url.set(drivername="sqlite+aiosqlite")
        # One connection writes, so that writers queue here, fairly, instead of polling SQLite's lock.
        self._lock = asyncio.Lock()
        self._writer = create_async_engine(
            url, pool_size=1, max_overflow=0, pool_timeout=30, hide_parameters=True
        )
        event.listen(self._writer.sync_engine, "connect", _prepare)
        event.listen(self._writer.sync_engine, "begin", _begin_immediate)
        # Readers run outside of transactions: nothing to begin, nothing to roll back.
        self._reader: AsyncEngine = create_async_engine(
            url,
            pool_size=READERS,
            max_overflow=0,
            pool_timeout=30,
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            hide_parameters=True,
        )
        event.listen(self._reader.sync_engine, "connect", _prepare)
        self._free: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        self._fetchers = [await self._fetcher() for _ in range(READERS)]
        for fetcher in self._fetchers:
            self._free.put_nowait(fetcher)

    async def close(self) -> None:
        for fetcher in self._fetchers:
            await fetcher.close()
        await self._reader.dispose()
        await self._writer.dispose()

    def reading(self) -> AsyncConnection:
        return self._reader.connect()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._lock, self._writer.begin() as connection:
            yield connection

    def migrating(self) -> contextlib.AbstractAsyncContextManager[AsyncConnection]:
        return self.transaction()  # of which there is one at a time, across processes

    async def fetch(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        # Through SQLAlchemy a query is four hops to the connection's thread, and a hop costs more than most
        # queries; the driver has a method that does it in one.
        found = _compiled.get(statement)
        if found is None:
            compiled = statement.compile(dialect=_NAMED)
            found = _compiled[statement] = (str(compiled), compiled.params)
        sql, own = found
        fetcher = await self._free.get()
        try:
            return list(await fetcher.execute_fetchall(sql, {**own, **values}))
        finally:
            self._free.put_nowait(fetcher)

    async def _fetcher(self) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(self._path(), isolation_level=None)
        await connection.execute(f"PRAGMA busy_timeout={_BUSY * 1000}")
        return connection

    def _path(self) -> Path:
        return Path(self.url.database or "")

    def _probe(self) -> None:
        # Before any connection of a pool: a pool's thread would outlive its failure.
        path = self._path()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(path, timeout=_BUSY)) as connection:
                _write_ahead(connection)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"{self.label}: cannot open {path}: {error}") from error


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch a file to WAL, which it then stays in. Of several processes that do so, SQLite lets one wait for none."""
    deadline = time.monotonic() + _BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the "begin" event begins, not the driver
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={_BUSY * 1000}",
        "synchronous=NORMAL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    # A transaction that begins as a reader and then writes fails at once when another process writes.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
