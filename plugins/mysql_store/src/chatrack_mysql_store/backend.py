"""The backend for MySQL and MariaDB, over asyncmy."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

import asyncmy
from sqlalchemy import URL, Connection, Table, text
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.dml import Insert

from chatrack import ConfigError, Unavailable
from chatrack.sql import Pool, ServerBackend

# It logs the server's notes as warnings, such as that the name of a primary key is ignored. Data that would be lost
# is an error, because the SQL mode is strict.
logging.getLogger("asyncmy").setLevel(logging.ERROR)

_DEADLOCK = 1213

_SERVER_ERRORS = range(1000, 2000)
"""Errors of the server, most of them about statements; those of its client library follow."""

_UNAVAILABLE = {
    *(1040, 1203, 1226),  # too many connections
    *(1045, 1129, 1130, 1698),  # access is denied
    *(1053, 1317, 1927),  # shutting down, interrupted, killed
    *(1205, 1213),  # locks that others hold
    *(1290, 1836),  # read-only
    1969,  # took too long
}
"""The server's errors that are not about a statement."""

_TLS_PARAMETERS = ("ssl-mode", "ssl_mode", "sslmode", "ssl-ca", "ssl_ca")
_TLS_MODES = ("disabled", "preferred", "required", "verify_ca", "verify_identity")
"""Those of MySQL's clients; `preferred` is without TLS, because an attacker could remove it anyway."""

_MIGRATION_LOCK_TIMEOUT = 600
"""Seconds to wait for another process that migrates."""


class MySQL(ServerBackend):
    """A server of MySQL 8 or MariaDB 10.11, or later.

    Args:
        url: the database; `ssl-mode` and `ssl-ca` mean what they mean to MySQL's own clients, but `preferred`
            is without TLS, and `ssl-ca` alone means `verify_ca`.
        label: the database's name in errors.
        pool: limits of its connections.
        schema: not used; a schema is a database here.
    """

    dialect: ClassVar[str] = "mysql"
    now_millis_sql: ClassVar[str] = "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)"
    transactional_ddl: ClassVar[bool] = False
    example_url: ClassVar[str] = "mysql://user:password@host/database"
    default_port: ClassVar[int] = 3306

    def __init__(self, url: URL, *, label: str, pool: Pool, schema: str | None = None) -> None:
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
        super().__init__(url.difference_update_query(_TLS_PARAMETERS), label=label, pool=pool, schema=schema)

    @contextlib.asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        engine = self.create_engine(limited=False, poolclass=NullPool)
        lock = {"name": f"chatrack:{self.url.database}"[:64]}
        try:
            async with engine.connect() as connection:
                await connection.execute(text("SET SESSION lock_wait_timeout = 31536000"))
                taken = await connection.execute(
                    text("SELECT GET_LOCK(:name, :seconds)"), {**lock, "seconds": _MIGRATION_LOCK_TIMEOUT}
                )
                if taken.scalar_one() != 1:
                    raise Unavailable("Another process has been migrating this database for ten minutes.")
                yield connection
                await connection.commit()
                # The lock ends with the connection.
        finally:
            await engine.dispose()

    def upsert(self, table: Table, *, key: Sequence[str], update: Sequence[str]) -> Insert:
        statement = mysql.insert(table)
        return statement.on_duplicate_key_update({name: statement.inserted[name] for name in update})

    def table_options(self, connection: Connection) -> Mapping[str, Any]:
        # Compare text byte by byte: the ids "a", "A" and "a " are three ids.
        mariadb = getattr(connection.dialect, "is_mariadb", False)
        return {
            "mysql_charset": "utf8mb4",
            "mysql_collate": "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin",
        }

    def is_retryable(self, error: DBAPIError) -> bool:
        return error.orig is not None and _code(error.orig) == _DEADLOCK

    def is_driver_error(self, error: BaseException) -> bool:
        return type(error).__module__.partition(".")[0] == "asyncmy"

    def is_statement_error(self, error: BaseException) -> bool:
        code = _code(error)
        return code is not None and code in _SERVER_ERRORS and code not in _UNAVAILABLE

    def create_engine(self, *, limited: bool = True, **options: Any) -> AsyncEngine:
        limit = self.pool.statement_timeout
        settings = [
            "time_zone='+00:00'",
            f"innodb_lock_wait_timeout={max(1, round(limit))}",
            # Values that do not fit are refused, whatever the server's own mode is.
            "sql_mode=CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
        ]
        arguments: dict[str, Any] = {"charset": "utf8mb4", "async_creator_fn": self._connect}
        limits = ""
        if limited:
            # The names differ between MariaDB and MySQL; each runs only its own kind of comment.
            limits = (
                f"/*M!100301 idle_transaction_timeout={self.idle_in_transaction_timeout}, max_statement_time={limit}, */ "
                f"/*!50708 max_execution_time={round(limit * 1000)}, */"
            )
            # The driver's own limit is for a server that no longer answers; one that does enforces those above.
            arguments["read_timeout"] = round(limit + self.connect_timeout)
        if self._tls is not None:
            arguments["ssl"] = self._tls
        return create_async_engine(
            self.url.set(drivername="mysql+asyncmy"),
            # Has no gap locks, with which concurrent inserts of a thread's items would deadlock.
            isolation_level="READ COMMITTED",
            hide_parameters=True,
            connect_args={"init_command": f"SET {limits} {', '.join(settings)}", **arguments},
            **options,
        )

    async def _connect(self, *arguments: Any, **settings: Any) -> Any:
        # The driver's own limit ends with the server's first packet.
        async with asyncio.timeout(self.connect_timeout):
            return await asyncmy.connect(*arguments, **settings)


def _code(error: BaseException) -> int | None:
    """Return MySQL's error number, if there is one."""
    code = error.args[0] if error.args else None
    return code if isinstance(code, int) else None
