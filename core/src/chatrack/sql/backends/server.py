"""The base of backends for database servers: a pool of connections that may be lost."""

from abc import abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from chatrack.errors import ConfigError
from chatrack.sql.backends.backend import Backend


class ServerBackend(Backend):
    """A database server. Provisional, as `Backend` is."""

    example_url: ClassVar[str]
    """A URL as people write it, for errors."""

    default_port: ClassVar[int]
    """The port of a URL that names none."""

    connect_timeout: ClassVar[float] = 5.0
    """Seconds that connecting may take."""

    idle_in_transaction_timeout: ClassVar[int] = 5
    """Seconds after which the server ends a transaction without statements, where it can.

    Chatrack's own transactions never wait for anything but the database.
    """

    finishes_queries: ClassVar[bool] = True

    _engine: AsyncEngine

    @abstractmethod
    def create_engine(self, **options: Any) -> AsyncEngine:
        """Make an engine.

        Args:
            options: of SQLAlchemy's pool, for `create_async_engine`.
        """

    @property
    def identity(self) -> str:
        host = str(self.url.query.get("host") or self.url.host or "localhost")
        host = "localhost" if host in {"127.0.0.1", "::1"} else host.lower()
        port = self.url.query.get("port") or self.url.port or self.default_port
        schema = f"/{self.schema}" if self.schema else ""
        return f"{self.dialect}:{host}:{port}/{self.url.database}{schema}"

    async def open(self) -> None:
        self._engine = self.create_engine(
            pool_size=self.pool.size,
            max_overflow=self.pool.max_overflow,
            pool_timeout=self.pool.timeout,
            pool_pre_ping=True,  # no request fails because the server was restarted in between
        )
        try:
            async with self._engine.connect():
                pass
        except BaseException as error:
            await self._engine.dispose()
            reason = self.driver_message(error)
            if isinstance(error, TypeError):  # a parameter of the URL that the driver does not know
                raise ConfigError(f"{self.label}: {error}") from None
            if reason is None:
                raise
            address = f"{self.url.host or 'localhost'}/{self.url.database or ''}"
            raise ConfigError(f"{self.label}: cannot connect to {address}: {reason}") from None

    async def close(self) -> None:
        await self._engine.dispose()

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._engine.connect()

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._engine.begin()
