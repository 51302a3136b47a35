"""What database servers have in common: a pool of connections that may be lost."""

from abc import abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chatrack.errors import ConfigError
from chatrack.sql.backends.backend import Backend
from chatrack.sql.backends.reasons import driver_message


class Server(Backend):
    """A database that is a server somewhere."""

    finishes_queries: ClassVar[bool] = True  # one that is cut off costs the connection

    _engine: AsyncEngine

    async def open(self) -> None:
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
            reason = driver_message(error)
            if isinstance(error, TypeError):  # a parameter of the URL that the driver does not know
                raise ConfigError(f"{self.label}: {error}") from None
            if reason is None:
                raise
            where = f"{self.url.host or 'localhost'}/{self.url.database or ''}"
            raise ConfigError(f"{self.label}: cannot connect to {where}: {reason}") from None

    async def close(self) -> None:
        await self._engine.dispose()

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._engine.connect()

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._engine.begin()

    @abstractmethod
    def _create_engine(self, **options: Any) -> AsyncEngine: ...
