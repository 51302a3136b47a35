"""The backend for SQLite: one connection that writes, a few that read."""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import aiosqlite
from sqlalchemy import Select, Table, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql.dml import Insert

from chatrack.errors import ConfigError
from chatrack.sql.backends.backend import Backend

_BUSY_TIMEOUT = 15
"""Seconds to wait for another process's transaction."""

_READERS = 4
"""How many connections read at the same time; each has a thread."""

_NAMED = sqlite.dialect(paramstyle="named")
_compiled: dict[Select[Any], tuple[str, Mapping[str, Any]]] = {}
"""The SQL of statements that are built once, and the values of the parameters that are part of them."""


class SQLite(Backend):
    """A SQLite file, in WAL mode. It ignores the limits of the pool."""

    dialect: ClassVar[str] = "sqlite"
    now_millis_sql: ClassVar[str] = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
    indexes_row_values: ClassVar[bool] = True
    migrates_at_start: ClassVar[bool] = True

    @property
    def identity(self) -> str:
        return f"sqlite:{self._path.resolve()}"

    @property
    def is_absent(self) -> bool:
        return not self._path.exists()

    async def open(self) -> None:
        await asyncio.to_thread(self._prepare_file)
        url = self.url.set(drivername="sqlite+aiosqlite")
        # With one connection, writers queue here in order of arrival instead of polling SQLite's lock.
        self._lock = asyncio.Lock()
        self._writer = create_async_engine(
            url, pool_size=1, max_overflow=0, pool_timeout=30, hide_parameters=True
        )
        event.listen(self._writer.sync_engine, "connect", _configure_connection)
        event.listen(self._writer.sync_engine, "begin", _begin_immediate)
        # Readers need no transaction: each query sees what is committed by then.
        self._reader: AsyncEngine = create_async_engine(
            url,
            pool_size=_READERS,
            max_overflow=0,
            pool_timeout=30,
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            hide_parameters=True,
        )
        event.listen(self._reader.sync_engine, "connect", _configure_connection)
        self._free: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        self._fetchers = [await self._new_fetcher() for _ in range(_READERS)]
        for fetcher in self._fetchers:
            self._free.put_nowait(fetcher)

    async def open_read_only(self) -> None:
        uri = await asyncio.to_thread(self._check_file)
        self._reader = self._writer = create_async_engine(
            "sqlite+aiosqlite://",
            async_creator=lambda: aiosqlite.connect(uri, uri=True, isolation_level=None),
            poolclass=StaticPool,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            hide_parameters=True,
        )
        self._fetchers = []

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
        return self.transaction()  # one at a time, also across processes

    async def fetch(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        # SQLAlchemy hops to the connection's thread four times a query, and a hop costs more than most queries;
        # the driver has a method that needs one.
        compiled = _compiled.get(statement)
        if compiled is None:
            compilation = statement.compile(dialect=_NAMED)
            compiled = _compiled[statement] = (str(compilation), compilation.params)
        sql, own_values = compiled
        fetcher = await self._free.get()
        try:
            return list(await fetcher.execute_fetchall(sql, {**own_values, **values}))
        finally:
            self._free.put_nowait(fetcher)

    def upsert(self, table: Table, *, key: Sequence[str], update: Sequence[str]) -> Insert:
        statement = sqlite.insert(table)
        return statement.on_conflict_do_update(
            index_elements=list(key), set_={name: statement.excluded[name] for name in update}
        )

    def is_driver_error(self, error: BaseException) -> bool:
        return isinstance(error, sqlite3.OperationalError)  # `fetch` goes past SQLAlchemy

    def is_statement_error(self, error: BaseException) -> bool:
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR

    @property
    def _path(self) -> Path:
        return Path(self.url.database or "")

    async def _new_fetcher(self) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(self._path, isolation_level=None)
        await connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT * 1000}")
        return connection

    def _check_file(self) -> str:
        """Return the URI to read the file with, having checked that it is a database and could be written.

        Raises:
            ConfigError: it is not, or could not.
        """
        path = self._path
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise ConfigError(f"{self.label}: cannot open {path}: {folder} is not a folder")
        for needed in (folder, path):
            # Also the folder of a file that exists: SQLite creates its log beside it.
            if needed.exists() and not os.access(needed, os.R_OK | os.W_OK):
                raise ConfigError(f"{self.label}: cannot open {path}: {needed} is not writable")
        if not path.exists():
            return "file::memory:"
        # In mode=ro SQLite leaves a log behind if there was none. Without a log, the file is all there is to read.
        immutable = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
        uri = f"{path.absolute().as_uri()}?mode=ro{immutable}"
        try:
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT)) as connection:
                connection.execute("PRAGMA schema_version").fetchone()
        except sqlite3.Error as error:
            raise ConfigError(f"{self.label}: cannot open {path}: {error}") from error
        return uri

    def _prepare_file(self) -> None:
        # Not over a connection of the pool: its thread would outlive a failure.
        path = self._path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_TIMEOUT)) as connection:
                _enable_wal(connection)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"{self.label}: cannot open {path}: {error}") from error


def _enable_wal(connection: sqlite3.Connection) -> None:
    """Switch a file to WAL mode, which it then keeps.

    SQLite does not wait for other processes that switch it at the same time, so this tries again until they have.
    """
    deadline = time.monotonic() + _BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _configure_connection(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the "begin" event begins transactions, not the driver
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT * 1000}",
        "synchronous=NORMAL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    # A transaction that begins as a reader and then writes fails at once when another process writes.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
