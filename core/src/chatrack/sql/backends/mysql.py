"""MySQL and MariaDB, over asyncmy."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import asyncmy
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from chatrack.errors import ConfigError, Unavailable
from chatrack.sql.backends.backend import CONNECT_TIMEOUT, IDLE_IN_TRANSACTION, Pool
from chatrack.sql.backends.server import Server

# It warns of what the server notes, such as that the name of a primary key is ignored. What would be lost is an
# error, since the mode is strict.
logging.getLogger("asyncmy").setLevel(logging.ERROR)

_DEADLOCK = 1213
_TLS_PARAMETERS = ("ssl-mode", "ssl_mode", "sslmode", "ssl-ca", "ssl_ca")
_TLS_MODES = ("disabled", "preferred", "required", "verify_ca", "verify_identity")
"""As MySQL's clients have them; `preferred` is without TLS: what anybody on the way can take away is no protection."""

_LOCK_WAIT = 600
"""Seconds to wait for another process that migrates."""


class MySQL(Server):
    """A MySQL 8 or MariaDB 10.11 server, or later ones.

    Args:
        url: the database; `ssl-mode` and `ssl-ca` mean what they mean to MySQL's own clients, but `preferred`
            is without TLS, and `ssl-ca` alone means `verify_ca`.
        label: how errors call it.
        pool: how many connections there may be, and how long things may take.
    """

    dialect: ClassVar[str] = "mysql"

    def __init__(self, url: URL, *, label: str, pool: Pool) -> None:
        given = {name.replace("-", "_"): value for name, value in url.query.items()}
        usual = "verify_ca" if "ssl_ca" in given else "preferred"
        mode = str(given.get("ssl_mode", given.get("sslmode", usual))).lower().replace("-", "_")
        if mode not in _TLS_MODES:
            raise ConfigError(f"{label}: ssl-mode: expected one of {', '.join(_TLS_MODES)}")
        authority = given.get("ssl_ca")
        self._tls = None
        if mode not in {"disabled", "preferred"}:
            try:
                self._tls = ssl.create_default_context(cafile=None if authority is None else str(authority))
            except OSError as error:
                raise ConfigError(f"{label}: ssl-ca: {error}") from error
            self._tls.check_hostname = mode == "verify_identity"
            if mode == "required":
                self._tls.verify_mode = ssl.CERT_NONE
        super().__init__(url.difference_update_query(_TLS_PARAMETERS), label=label, pool=pool)

    @contextlib.asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        engine = self._create_engine(limited=False, poolclass=NullPool)
        lock = {"name": f"chatrack:{self.url.database}"[:64]}
        try:
            async with engine.connect() as connection:
                await connection.execute(text("SET SESSION lock_wait_timeout = 31536000"))
                taken = await connection.execute(
                    text("SELECT GET_LOCK(:name, :seconds)"), {**lock, "seconds": _LOCK_WAIT}
                )
                if taken.scalar_one() != 1:
                    raise Unavailable("Another process has been migrating this database for ten minutes.")
                yield connection
                await connection.commit()
                # The lock goes with the connection, whatever happens.
        finally:
            await engine.dispose()

    def is_retryable(self, error: DBAPIError) -> bool:
        return bool(error.orig is not None and error.orig.args and error.orig.args[0] == _DEADLOCK)

    def _create_engine(self, *, limited: bool = True, **options: Any) -> AsyncEngine:
        limit = self.pool.statement_timeout
        settings = [
            "time_zone='+00:00'",
            f"innodb_lock_wait_timeout={max(1, round(limit))}",
            # Nothing is cut to fit, whatever the server's own mode is.
            "sql_mode=CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
        ]
        arguments: dict[str, Any] = {"charset": "utf8mb4", "async_creator_fn": _connect}
        limits = ""
        if limited:
            # One name in MariaDB, another in MySQL; each reads only its own kind of comment.
            limits = (
                f"/*M!100301 idle_transaction_timeout={IDLE_IN_TRANSACTION}, max_statement_time={limit}, */ "
                f"/*!50708 max_execution_time={round(limit * 1000)}, */"
            )
            # The driver's own limit is for a server that has gone silent; one that answers keeps to its own.
            arguments["read_timeout"] = round(limit + CONNECT_TIMEOUT)
        if self._tls is not None:
            arguments["ssl"] = self._tls
        return create_async_engine(
            self.url.set(drivername="mysql+asyncmy"),
            # Without gap locks, in which concurrent inserts of a thread's items would deadlock.
            isolation_level="READ COMMITTED",
            hide_parameters=True,
            connect_args={"init_command": f"SET {limits} {', '.join(settings)}", **arguments},
            **options,
        )


async def _connect(*arguments: Any, **settings: Any) -> Any:
    # The driver bounds only the first packet's way there.
    async with asyncio.timeout(CONNECT_TIMEOUT):
        return await asyncmy.connect(*arguments, **settings)
