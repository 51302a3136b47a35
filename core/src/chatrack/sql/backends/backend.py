"""The interface between a `Database` and one kind of database."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

import msgspec
from sqlalchemy import URL, Column, ColumnElement, Connection, Executable, Select, Table, func
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Insert


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the connections of one process. Databases that are a file ignore them.

    Args:
        size: connections that are kept open.
        max_overflow: connections beyond those, while they are needed.
        timeout: seconds to wait for a free connection.
        statement_timeout: seconds that a statement may take.
    """

    size: int = 10
    max_overflow: int = 10
    timeout: float = 5.0
    statement_timeout: float = 30.0


class Backend(ABC):
    """Connections to one database, and the SQL that is particular to its kind.

    Provisional: it may change before 1.0, because how transactions run is being reworked.

    A distribution registers a backend in the entry-point group `chatrack.sql_backends`, under each URL scheme that
    it is for. `Database(url)` then finds it by the scheme of its URL and makes one instance.

    Args:
        url: the database. Ignore a driver in its scheme (`postgresql+psycopg`): the backend chooses the driver.
        label: the database's name in errors, usually the setting that holds the URL.
        pool: limits of its connections.
        schema: the schema that the tables are in, for databases that have schemas.

    Raises:
        ConfigError: the URL cannot be used.
    """

    # -- the SQL dialect -------------------------------------------------------------------------------

    dialect: ClassVar[str]
    """SQLAlchemy's name of the SQL dialect."""

    now_millis_sql: ClassVar[str]
    """A SQL expression for the milliseconds since 1970 on the database's clock, as a 64-bit integer."""

    byte_collation: ClassVar[str | None] = None
    """The collation that sorts text by its bytes; None if text is sorted so without naming one."""

    accepts_nul: ClassVar[bool] = True
    """Whether text may hold NUL characters."""

    indexes_row_values: ClassVar[bool] = False
    """Whether the index of a key with several columns is used for `(a, b) > (1, 2)`."""

    # -- behaviour -------------------------------------------------------------------------------------

    migrates_at_start: ClassVar[bool] = False
    """Whether older tables are brought up to date at start without being asked."""

    transactional_ddl: ClassVar[bool] = True
    """Whether `CREATE TABLE` and the like can be rolled back, so that an interrupted migration leaves nothing behind."""

    finishes_queries: ClassVar[bool] = False
    """Whether a query must run to its end when its caller is cancelled, because aborting it costs the connection."""

    def __init__(self, url: URL, *, label: str, pool: Pool, schema: str | None = None) -> None:
        self.url = url
        self.label = label
        self.pool = pool
        self.schema = schema

    @property
    def identity(self) -> str:
        """A text that is equal for all URLs of the same database; without user and password."""
        return self.url.set(
            drivername=self.dialect, username=None, password=None, query={}
        ).render_as_string()

    @property
    def is_absent(self) -> bool:
        """Whether the database is a file that does not exist yet and that `open` creates."""
        return False

    # -- connections -----------------------------------------------------------------------------------

    @abstractmethod
    async def open(self) -> None:
        """Connect. Called once before anything else, and again after `close`.

        Raises:
            ConfigError: the database cannot be reached.
        """

    async def open_read_only(self) -> None:
        """Connect for reading only; creates no file and changes nothing.

        Raises:
            ConfigError: it cannot be reached, or `open` could not write to it.
        """
        await self.open()

    @abstractmethod
    async def close(self) -> None:
        """Disconnect."""

    @abstractmethod
    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Return a context with a connection; each statement on it sees what is committed by then."""

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Return a context with a connection in a transaction: committed at its end, rolled back by an exception."""

    @abstractmethod
    def migrating(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Return a context as `transaction` does, without time limits, that only one process at a time enters."""

    async def fetch(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Return the rows of a query; its columns are of types that need no conversion."""
        async with self.reading() as connection:
            rows: Sequence[Any] = (await connection.execute(statement, dict(values))).all()
            return rows

    # -- statements ------------------------------------------------------------------------------------

    @abstractmethod
    def upsert(self, table: Table, *, key: Sequence[str], update: Sequence[str]) -> Insert:
        """Return an insert that updates the row that is already there; called once for each combination.

        Args:
            table: the table.
            key: the columns of the unique key that finds the row.
            update: the columns to take from the new row.
        """

    def table_options(self, connection: Connection) -> Mapping[str, Any]:
        """Return the dialect's keyword arguments for every `Table` that is created (`mysql_charset` and the like).

        Args:
            connection: the connection that creates the table.
        """
        return {}

    def value_size(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """Return an expression for the size of a text or blob: bytes, or characters if those are cheaper to count."""
        return func.length(column)

    def reset_sequence(self, table: Table, column: Column[int]) -> Executable | None:
        """Return the statement that numbers new rows after existing ones; None if the database does so by itself.

        Args:
            table: a table whose rows were inserted with their numbers.
            column: its auto-increment column.
        """
        return None

    # -- errors ----------------------------------------------------------------------------------------

    def is_retryable(self, error: DBAPIError) -> bool:
        """Return whether a transaction failed only because of a concurrent one, as in a deadlock."""
        return False

    def is_driver_error(self, error: BaseException) -> bool:
        """Return whether an error is the driver's own: drivers raise those while they connect, unwrapped by SQLAlchemy."""
        return False

    def is_statement_error(self, error: BaseException) -> bool:
        """Return whether a driver's error is about the statement, where its class in SQLAlchemy does not say so."""
        return False

    def driver_message(self, error: BaseException) -> str | None:
        """Return what the database or its driver says in an error, on one line; None if it comes from neither."""
        original = _unwrap(error)
        if isinstance(error, DBAPIError | OSError) or self.is_driver_error(original):
            return " ".join(str(original).split()) or type(original).__name__
        return None

    def unavailable_reason(self, error: BaseException) -> str | None:
        """Return why the database cannot be reached; None if the error is about something else."""
        if isinstance(error, IntegrityError | ProgrammingError | DataError):
            return None
        return None if self.is_statement_error(_unwrap(error)) else self.driver_message(error)


def _unwrap(error: BaseException) -> BaseException:
    """Return the driver's error that SQLAlchemy wrapped, or the error itself."""
    return getattr(error, "orig", None) or error
