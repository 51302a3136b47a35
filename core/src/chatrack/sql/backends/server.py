"""What database servers have in common: a pool of connections that may be lost."""

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chatrack.errors import ConfigError
from chatrack.sql.backends.backend import Backend
from chatrack.sql.backends.reasons import reason_of


class Server(Backend):
    """A database that is a server somewhere."""

    _engine: AsyncEngine

    async def open(self) -> None:
        self._fetches: set[asyncio.Task[Any]] = set()
        self._engine = self._create_engine(
            pool_size=self.pool.size,
            max_overflow=self.pool.max_overflow,
            pool_timeout=self.pool.timeout,
            pool_pre_ping=True,  # a server that was restarted meanwhile costs nobody a request
        )
        try:
            async with self._engine.connect():
                pass
        except BaseException as error:
            await self._engine.dispose()
            reason = reason_of(error, connecting=True)
            if isinstance(error, TypeError):  # a parameter of the URL that the driver does not know
                raise ConfigError(f"{self.label}: {error}") from None
            if reason is None:
                raise
            where = f"{self.url.host or 'localhost'}/{self.url.database or ''}"
            raise ConfigError(f"{self.label}: cannot connect to {where}: {reason}") from None

    async def close(self) -> None:
        if self._fetches:
            await asyncio.wait(self._fetches)
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.begin() as connection:
            yield connection

    async def fetch(self, statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        # To its end, whatever becomes of the caller: a query that is cut off costs the connection.
        task = asyncio.ensure_future(super().fetch(statement, values))
        self._fetches.add(task)
        task.add_done_callback(self._fetched)
        return await asyncio.shield(task)

    def _fetched(self, task: "asyncio.Task[Any]") -> None:
        self._fetches.discard(task)
        if not task.cancelled():
            task.exception()  # its caller has been told, or is gone

    @abstractmethod
    def _create_engine(self, **options: Any) -> AsyncEngine: ...
