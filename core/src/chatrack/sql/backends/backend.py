"""What a `Database` needs to know of the kind of database it is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

import msgspec
from sqlalchemy import URL, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections one process may have, and how long things may take. SQLite takes no notice of it.

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


CONNECT_TIMEOUT = 5.0
"""Seconds that connecting may take."""


IDLE_IN_TRANSACTION = 5
"""Seconds that a transaction may be left alone, where the server can see to it: ours never wait for anything else."""


class Backend(ABC):
    """Connections to one database of one kind.

    Args:
        url: the database.
        label: how errors call it.
        pool: how many connections there may be, and how long things may take.
    """

    dialect: ClassVar[str]
    """SQLAlchemy's name for the kind."""

    migrates_at_start: ClassVar[bool] = False
    """Whether tables are brought up to date at start without being asked."""

    finishes_queries: ClassVar[bool] = False
    """Whether a query goes on to its end when its caller is cancelled."""

    def __init__(self, url: URL, *, label: str, pool: Pool) -> None:
        self.url = url
        self.label = label
        self.pool = pool

    @abstractmethod
    async def open(self) -> None:
        """Connect.

        Raises:
            ConfigError: it cannot be reached.
        """

    @abstractmethod
    async def close(self) -> None:
        """Disconnect."""

    @abstractmethod
    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Give a connection that sees what is committed."""

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Give a connection in a transaction, which ends with the context."""

    @abstractmethod
    def migrating(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Give a connection, without limits of time, that one process at a time gets."""

    async def fetch(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Give the rows of a query; its columns are of types that need no conversion."""
        async with self.reading() as connection:
            rows: Sequence[Any] = (await connection.execute(statement, dict(values))).all()
            return rows

    def is_retryable(self, error: DBAPIError) -> bool:
        """Tell whether a transaction failed only because of others that ran at the same time."""
        return False
