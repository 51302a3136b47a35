"""A database: connections, transactions that cannot be interrupted, health."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import structlog
from sqlalchemy import URL, Select, Table, literal_column, make_url, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Insert

from chatrack.errors import ChatrackError, Unavailable
from chatrack.sql.backends import Backend, Pool, create_backend
from chatrack.sql.functions import define_now_millis

T = TypeVar("T")

_log = structlog.get_logger(source="chatrack.sql")

_ATTEMPTS = 8
"""How often a transaction is tried that concurrent transactions make fail."""

STOP_TIMEOUT = 5.0
"""Seconds that `stop` waits for running statements, and again for connections to close."""

_DEFAULT_POOL = Pool()
_SELECT_ONE: Select[Any] = select(literal_column("1"))


class Database:
    """A SQL database, shared by the store and the plugins that keep tables in it.

    Args:
        url: a URL as people write it: `sqlite:///relative.db`, `sqlite:////absolute.db`,
            `postgresql://user:password@host/name`. Its scheme chooses the backend among those that are installed.
        label: the database's name in errors and in `/ready`.
        pool: limits of its connections; SQLite ignores them.
        schema: the schema that the tables are in, for databases that have schemas; the connection's default if None.
        auto_migrate: whether older tables are brought up to date at start; in SQLite they always are.

    Raises:
        ConfigError: no installed backend is for this URL, or it cannot be used.
    """

    def __init__(
        self,
        url: str | URL,
        *,
        label: str = "database",
        pool: Pool = _DEFAULT_POOL,
        schema: str | None = None,
        auto_migrate: bool = False,
    ) -> None:
        self.url = make_url(url)
        self.label = label
        self.schema = schema
        self.backend: Backend = create_backend(self.url, label=label, pool=pool, schema=schema)
        """What is particular about this kind of database. Provisional, as `Backend` is."""
        self.dialect = self.backend.dialect
        """SQLAlchemy's name of the SQL dialect."""
        define_now_millis(self.dialect, self.backend.now_millis_sql)
        self.auto_migrate = auto_migrate or self.backend.migrates_at_start
        self._upserts: dict[tuple[Table, tuple[str, ...], tuple[str, ...]], Insert] = {}
        self._started = False
        self._unfinished: set[asyncio.Task[Any]] = set()
        self._available = True

    async def start(self, *, read_only: bool = False) -> None:
        """Connect. A SQLite file that does not exist is created, with its folder.

        Args:
            read_only: connect for `read` alone, and create nothing; a SQLite file that does not exist is read as an
                empty database.

        Raises:
            ConfigError: the database cannot be reached or opened.
        """
        if not self._started:
            await (self.backend.open_read_only() if read_only else self.backend.open())
            self._started = True

    async def stop(self) -> None:
        """Disconnect, after the statements that are still running, unless the database no longer answers."""
        if self._unfinished:
            _, stuck = await asyncio.wait(self._unfinished, timeout=STOP_TIMEOUT)
            for task in stuck:
                task.cancel()
        if self._started:
            self._started = False
            try:
                async with asyncio.timeout(STOP_TIMEOUT):
                    await self.backend.close()
            except TimeoutError:
                _log.warning("database connections not closed", database=self.label, seconds=STOP_TIMEOUT)

    @property
    def is_absent(self) -> bool:
        """Whether the database is a file that does not exist yet and that `start` creates."""
        return self.backend.is_absent

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Return a context with a connection for reading; each statement sees what is committed by then.

        Raises:
            Unavailable: the database cannot be reached.
        """
        assert self._started, "the database is not started"
        with self._raising_unavailable():
            async with self.backend.reading() as connection:
                yield connection

    async def fetch(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Return the rows of one query, in the cheapest way there is.

        Args:
            statement: a query that is built once and kept; its columns are integers and text.
            values: its parameters; none of them is a list.

        Raises:
            Unavailable: the database cannot be reached.
        """
        assert self._started, "the database is not started"
        query = self._fetch(statement, values)
        return await (self._finish(query) if self.backend.finishes_queries else query)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run some statements as one transaction, to its end even if the caller is cancelled.

        Provisional: it may change before 1.0, because how transactions run is being reworked.

        Args:
            work: gets the connection; what it returns is returned. An exception rolls back. It is called again
                if the transaction failed only because of a concurrent one, as in a deadlock.

        Raises:
            Unavailable: the database cannot be reached.
        """
        assert self._started, "the database is not started"
        return await self._finish(self._write(work))

    @contextlib.asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        """Return a context with a connection for changing tables, for one process at a time; others wait.

        Raises:
            Unavailable: the database cannot be reached.
        """
        async with contextlib.AsyncExitStack() as stack:
            with self._raising_unavailable():
                connection = await stack.enter_async_context(self.backend.migrating())
            yield connection  # errors of the migration itself are not translated

    async def health(self) -> None:
        """Check that the database answers.

        Raises:
            Unavailable: it does not.
        """
        await self.fetch(_SELECT_ONE, {})

    def upsert(self, table: Table, *, key: Sequence[str], update: Sequence[str]) -> Insert:
        """Return an insert that updates the row that is already there. It is built once and kept.

        Args:
            table: the table.
            key: the columns of the unique key that finds the row.
            update: the columns to take from the new row.
        """
        wanted = (table, tuple(key), tuple(update))
        statement = self._upserts.get(wanted)
        if statement is None:
            statement = self._upserts[wanted] = self.backend.upsert(table, key=key, update=update)
        return statement

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something to its end even if the caller is cancelled; `stop` waits for it."""
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)
            raise

    async def _fetch(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        with self._raising_unavailable():
            return await self.backend.fetch(statement, values)

    async def _write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        with self._raising_unavailable():
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    async with self.backend.transaction() as connection:
                        return await work(connection)
                except DBAPIError as error:
                    if attempt == _ATTEMPTS or not self.backend.is_retryable(error):
                        raise
                # Jitter, so that conflicting transactions do not collide again.
                await asyncio.sleep(random.uniform(0, 0.01 * attempt))  # noqa: S311  (not for security)
            raise AssertionError("the last attempt returns or raises")

    @contextlib.contextmanager
    def _raising_unavailable(self) -> Iterator[None]:
        """Raise `Unavailable` instead of what the driver raises when the database cannot be reached.

        An outage is logged when it begins and when it ends, not with every statement.
        """
        try:
            yield
        except Exception as error:
            reason = self.backend.unavailable_reason(error)
            if isinstance(error, PoolTimeout):  # this process is busy; the database may be fine
                _log.warning("no database connection is free", database=self.label)
            elif reason is None:
                raise
            elif self._available:
                self._available = False
                _log.error("database unavailable", database=self.label, reason=reason)
            raise Unavailable("The database cannot be reached right now.", retry_after=5) from error
        if not self._available:
            self._available = True
            _log.info("database available again", database=self.label)


def _log_failure(task: "asyncio.Task[Any]") -> None:
    """Log the error of a statement whose caller was cancelled."""
    if task.cancelled():
        return
    error = task.exception()
    # Chatrack's own errors are answers to the caller, who no longer wants one.
    if error is not None and not isinstance(error, ChatrackError):
        _log.error("database work failed after its caller was cancelled", exc_info=error)
