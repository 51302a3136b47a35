"""A database: connections, transactions that cannot be interrupted, and a sign of life."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import URL, event, make_url, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from chatrack.errors import ConfigError, Unavailable

T = TypeVar("T")

_log = structlog.get_logger(source="chatrack.sql")

_DRIVERS = {"sqlite": "sqlite+aiosqlite"}

_BUSY = 15
"""Seconds to wait for another process's transaction."""

READERS = 4
"""How many SQLite connections read at the same time; each is a thread."""


class Database:
    """A SQL database, shared by the store and the plugins that keep tables in it.

    Args:
        url: a SQLAlchemy URL without a driver; `sqlite:///relative.db`, `sqlite:////absolute.db`.
        label: how errors and `/ready` call it.
    """

    def __init__(self, url: str | URL, *, label: str = "database") -> None:
        self.url = make_url(url)
        self.label = label
        driver = _DRIVERS.get(self.url.get_backend_name())
        if driver is None:
            known = ", ".join(sorted(_DRIVERS))
            raise ConfigError(
                f"{label}: databases of type {self.url.get_backend_name()} are not known; known: {known}"
            )
        self.dialect = self.url.get_backend_name()
        self._async_url = self.url.set(drivername=driver)
        self._reader: AsyncEngine | None = None
        self._writer: AsyncEngine | None = None
        self._write_lock = asyncio.Lock()
        self._writes: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Open it; the folder of a SQLite file is created.

        Raises:
            ConfigError: it cannot be opened.
        """
        if self._writer is not None:
            return
        await asyncio.to_thread(self._probe)
        # One connection writes, so that writers queue here, fairly, instead of polling SQLite's lock.
        self._writer = create_async_engine(self._async_url, pool_size=1, max_overflow=0, pool_timeout=30)
        event.listen(self._writer.sync_engine, "connect", _prepare_sqlite)
        event.listen(self._writer.sync_engine, "begin", _begin_immediate)
        # Readers run outside of transactions: nothing to begin, nothing to roll back.
        self._reader = create_async_engine(
            self._async_url,
            pool_size=READERS,
            max_overflow=0,
            pool_timeout=30,
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )
        event.listen(self._reader.sync_engine, "connect", _prepare_sqlite)

    async def stop(self) -> None:
        """Close it, after the writes that are still running."""
        if self._writes:
            await asyncio.wait(self._writes)
        for engine in (self._reader, self._writer):
            if engine is not None:
                await engine.dispose()
        self._reader = self._writer = None

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection for reading, outside of any transaction.

        Raises:
            Unavailable: the database cannot be reached.
        """
        assert self._reader is not None, "the database is not started"
        with self._translated():
            async with self._reader.connect() as connection:
                yield connection

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run some statements as one transaction, to its end even if the caller is cancelled.

        Args:
            work: gets the connection; what it returns is returned. An exception rolls back.

        Raises:
            Unavailable: the database cannot be reached.
        """
        task = asyncio.ensure_future(self._write(work))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)
            raise

    async def health(self) -> None:
        """Ask for a sign of life.

        Raises:
            Unavailable: there was none.
        """
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def _write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        assert self._writer is not None, "the database is not started"
        with self._translated():
            async with self._write_lock, self._writer.begin() as connection:
                return await work(connection)

    def _probe(self) -> None:
        # Before any connection of a pool: a pool's thread would outlive its failure.
        path = Path(self.url.database or "")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(path, timeout=_BUSY)) as connection:
                _write_ahead(connection)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"{self.label}: cannot open {path}: {error}") from error

    @contextlib.contextmanager
    def _translated(self) -> Any:
        try:
            yield
        except (IntegrityError, ProgrammingError, DataError):
            raise  # not the database's fault
        except (DBAPIError, PoolTimeout) as error:
            _log.error("database unavailable", database=self.label, reason=str(getattr(error, "orig", error)))
            raise Unavailable("The database cannot be reached right now.", retry_after=5) from error


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


def _prepare_sqlite(connection: Any, _record: Any) -> None:
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


def _log_failure(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a write failed after its request was gone", exc_info=error)
