"""The backend for PostgreSQL, over asyncpg."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, ClassVar

import asyncpg
from sqlalchemy import URL, Column, ColumnElement, Executable, Table, func, literal, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.dml import Insert

from chatrack.sql import Pool, ServerBackend

_MIGRATION_LOCK = 0x63686174
"""The key of the advisory lock of migrations: "chat"."""

_RETRYABLE_STATES = {"40001", "40P01"}
"""Serialization failure and deadlock."""

_STATEMENT_STATES = ("0A", "22", "23", "42")
"""Classes of errors that are about a statement: not supported, data, integrity, syntax or access."""

_LIBPQ_ONLY = ("channel_binding", "connect_timeout")
"""Parameters that libpq takes and asyncpg does not."""


class PostgreSQL(ServerBackend):
    """A PostgreSQL server, version 13 or later.

    Args:
        url: as libpq takes it, `sslmode` and the like included.
        label: the database's name in errors.
        pool: limits of its connections.
        schema: the schema that the tables are in; the first of the user's `search_path` if None.
    """

    dialect: ClassVar[str] = "postgresql"
    now_millis_sql: ClassVar[str] = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
    byte_collation: ClassVar[str | None] = "C"  # its own sorts as the database's language does
    accepts_nul: ClassVar[bool] = False
    indexes_row_values: ClassVar[bool] = True
    example_url: ClassVar[str] = "postgresql://user:password@host/database"
    default_port: ClassVar[int] = 5432

    def __init__(self, url: URL, *, label: str, pool: Pool, schema: str | None = None) -> None:
        super().__init__(url, label=label, pool=pool, schema=schema)
        # asyncpg parses the URL itself: unlike SQLAlchemy it knows what libpq's parameters mean.
        plain = url.set(drivername="postgresql").difference_update_query(_LIBPQ_ONLY)
        self._dsn = plain.render_as_string(hide_password=False)

    async def open(self) -> None:
        await super().open()
        # Reading needs no transaction, which would cost two round trips.
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    def reading(self) -> contextlib.AbstractAsyncContextManager[AsyncConnection]:
        return self._reader.connect()

    @contextlib.asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        engine = self.create_engine(limited=False, poolclass=NullPool)
        try:
            async with engine.begin() as connection:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
                yield connection
        finally:
            await engine.dispose()

    def upsert(self, table: Table, *, key: Sequence[str], update: Sequence[str]) -> Insert:
        statement = postgresql.insert(table)
        return statement.on_conflict_do_update(
            index_elements=list(key), set_={name: statement.excluded[name] for name in update}
        )

    def value_size(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        return func.octet_length(column)  # counting characters would decompress the value

    def reset_sequence(self, table: Table, column: Column[int]) -> Executable:
        highest = select(func.max(column)).scalar_subquery()
        sequence = func.pg_get_serial_sequence(literal(f'"{table.name}"'), literal(column.name))
        return select(func.setval(sequence, func.coalesce(highest, 1), highest.is_not(None)))

    def is_retryable(self, error: DBAPIError) -> bool:
        return getattr(error.orig, "sqlstate", None) in _RETRYABLE_STATES

    def is_driver_error(self, error: BaseException) -> bool:
        return type(error).__module__.partition(".")[0] == "asyncpg"

    def is_statement_error(self, error: BaseException) -> bool:
        return str(getattr(error, "sqlstate", "")).startswith(_STATEMENT_STATES)

    def create_engine(self, *, limited: bool = True, **options: Any) -> AsyncEngine:
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
            # A process that was suspended or disconnected in a transaction must not keep its locks.
            "idle_in_transaction_session_timeout": str(
                self.idle_in_transaction_timeout * 1000 if limited else 0
            ),
            "jit": "off",  # compiling would take longer than any of our statements
        }
        if self.schema is not None:
            settings["search_path"] = f'"{self.schema}"'
        # asyncpg's own limit is for a server that no longer answers; one that does enforces `statement_timeout`.
        return await asyncpg.connect(
            self._dsn,
            timeout=self.connect_timeout,
            command_timeout=limit + self.connect_timeout if limited else None,
            server_settings=settings,
        )
