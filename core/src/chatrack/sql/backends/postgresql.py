"""PostgreSQL, over asyncpg."""

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, ClassVar

import asyncpg
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from chatrack.sql.backends.backend import CONNECT_TIMEOUT, IDLE_IN_TRANSACTION, Pool
from chatrack.sql.backends.server import Server

_MIGRATING = 0x63686174  # "chat": the key of the advisory lock
_AGAIN = {"40001", "40P01"}
"""Serialization failure and deadlock."""

_NOT_OURS = ("channel_binding", "connect_timeout")
"""Parameters that libpq takes and asyncpg does not."""


class PostgreSQL(Server):
    """A PostgreSQL server, version 13 or later.

    Args:
        url: as libpq takes it, `sslmode` and the like included.
        label: how errors call it.
        pool: how many connections there may be, and how long things may take.
        schema: where the tables are; the first of the user's `search_path` if None.
    """

    dialect: ClassVar[str] = "postgresql"

    def __init__(self, url: URL, *, label: str, pool: Pool, schema: str | None) -> None:
        super().__init__(url, label=label, pool=pool)
        self.schema = schema
        # asyncpg reads the URL itself: it knows what libpq's parameters mean, SQLAlchemy does not.
        plain = url.set(drivername="postgresql").difference_update_query(_NOT_OURS)
        self._dsn = plain.render_as_string(hide_password=False)

    async def open(self) -> None:
        await super().open()
        # Reading takes no transaction: nothing to begin, nothing to roll back.
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    def reading(self) -> contextlib.AbstractAsyncContextManager[AsyncConnection]:
        return self._reader.connect()

    @contextlib.asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        engine = self._create_engine(limited=False, poolclass=NullPool)
        try:
            async with engine.begin() as connection:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
                yield connection
        finally:
            await engine.dispose()

    def is_retryable(self, error: DBAPIError) -> bool:
        return getattr(error.orig, "sqlstate", None) in _AGAIN

    def _create_engine(self, *, limited: bool = True, **options: Any) -> AsyncEngine:
        return create_async_engine(
            "postgresql+asyncpg://",
            async_creator=partial(self._connect, limited=limited),
            hide_parameters=True,
            **options,
        )

    async def _connect(self, *, limited: bool) -> Any:
        limit = self.pool.statement_timeout
        settings = {
            "application_name": "chatrack",
            "statement_timeout": str(round(limit * 1000) if limited else 0),
            # A process that was suspended or cut off in a transaction keeps nobody from the rows it has locked.
            "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION * 1000 if limited else 0),
            "jit": "off",  # planning would take longer than any of our statements
        }
        if self.schema is not None:
            settings["search_path"] = f'"{self.schema}"'
        # asyncpg's own limit is for a server that has gone silent; one that answers keeps to its own.
        return await asyncpg.connect(
            self._dsn,
            timeout=CONNECT_TIMEOUT,
            command_timeout=limit + CONNECT_TIMEOUT if limited else None,
            server_settings=settings,
        )
