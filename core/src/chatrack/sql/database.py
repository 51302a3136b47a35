"""A database: connections, transactions that cannot be interrupted, and a sign of life."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import URL, Select, literal_column, make_url, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.errors import ChatrackError, Unavailable
from chatrack.sql.backends import Pool, backend_of, unavailable_reason

T = TypeVar("T")

_log = structlog.get_logger(source="chatrack.sql")

_ATTEMPTS = 8
"""How often a transaction is tried that others get in the way of."""

_DEFAULT_POOL = Pool()
_ALIVE: Select[Any] = select(literal_column("1"))


class Database:
    """A SQL database, shared by the store and the plugins that keep tables in it.

    Args:
        url: a URL as people write it: `sqlite:///relative.db`, `sqlite:////absolute.db`,
            `postgresql://user:password@host/name`, `mysql://user:password@host/name`.
        label: how errors and `/ready` call it.
        pool: how many connections there may be, and how long things may take; SQLite takes no notice of it.
        schema: where the tables are, in PostgreSQL; the first of the user's `search_path` if None.
        auto_migrate: whether tables are brought up to date at start; in SQLite they always are.

    Raises:
        ConfigError: Chatrack does not know this kind of database, or its driver is not installed.
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
        self._backend = backend_of(self.url, label=label, pool=pool, schema=schema)
        self.dialect = self._backend.dialect
        """SQLAlchemy's name for the kind of database: `sqlite`, `postgresql` or `mysql`, which MariaDB is too."""
        self.auto_migrate = auto_migrate or self._backend.migrates_at_start
        self._started = False
        self._unfinished: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Connect; the folder of a SQLite file is created.

        Raises:
            ConfigError: it cannot be reached or opened.
        """
        if not self._started:
            await self._backend.open()
            self._started = True

    async def stop(self) -> None:
        """Disconnect, after the statements that are still running."""
        if self._unfinished:
            await asyncio.wait(self._unfinished)
        if self._started:
            self._started = False
            await self._backend.close()

    @property
    def is_absent(self) -> bool:
        """Whether it is a SQLite file that is not there, and that `start` would make."""
        return self.dialect == "sqlite" and not Path(self.url.database or "").exists()

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection for reading; each statement sees what is committed by then.

        Raises:
            Unavailable: the database cannot be reached.
        """
        assert self._started, "the database is not started"
        with _translating(self.label):
            async with self._backend.reading() as connection:
                yield connection

    async def fetch(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Give the rows of one query, in the cheapest way there is.

        Args:
            statement: a query that is built once and kept; its columns are integers and text.
            values: its parameters; none of them is a list.

        Raises:
            Unavailable: the database cannot be reached.
        """
        assert self._started, "the database is not started"
        work = self._fetch(statement, values)
        return await (self._to_its_end(work) if self._backend.finishes_queries else work)

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run some statements as one transaction, to its end even if the caller is cancelled.

        Args:
            work: gets the connection; what it returns is returned. An exception rolls back. If a deadlock
                with another transaction undoes it, it is called again.

        Raises:
            Unavailable: the database cannot be reached.
        """
        assert self._started, "the database is not started"
        return await self._to_its_end(self._write(work))

    @contextlib.asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection for changing tables, to one process at a time; others wait.

        Raises:
            Unavailable: the database cannot be reached.
        """
        async with contextlib.AsyncExitStack() as stack:
            with _translating(self.label):
                connection = await stack.enter_async_context(self._backend.migrating())
            yield connection  # what a migration raises is its own affair

    async def health(self) -> None:
        """Ask for a sign of life.

        Raises:
            Unavailable: there was none.
        """
        await self.fetch(_ALIVE, {})

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something that goes on when the caller is cancelled; `stop` waits for it."""
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)
            raise

    async def _fetch(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        with _translating(self.label):
            return await self._backend.fetch(statement, values)

    async def _write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        with _translating(self.label):
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    async with self._backend.transaction() as connection:
                        return await work(connection)
                except DBAPIError as error:
                    if attempt == _ATTEMPTS or not self._backend.is_retryable(error):
                        raise
                # Apart from those that it met, or they meet again.
                await asyncio.sleep(random.uniform(0, 0.01 * attempt))  # noqa: S311  (nothing secret)
            raise AssertionError("the last attempt returns or raises")


@contextlib.contextmanager
def _translating(label: str) -> Iterator[None]:
    """Turn what drivers raise when a database is away into `Unavailable`."""
    try:
        yield
    except Exception as error:
        reason = "no connection is free" if isinstance(error, PoolTimeout) else unavailable_reason(error)
        if reason is None:
            raise
        _log.error("database unavailable", database=label, reason=reason)
        raise Unavailable("The database cannot be reached right now.", retry_after=5) from error


def _log_failure(task: "asyncio.Task[Any]") -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error is not None and not isinstance(
        error, ChatrackError
    ):  # a refusal is an answer, and nobody waits for it
        _log.error("a statement failed after its request was gone", exc_info=error)
