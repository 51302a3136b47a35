"""Temporary databases for benchmarks and tests, of every kind."""

import asyncio
import concurrent.futures
import contextlib
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import asyncmy
import asyncpg
from sqlalchemy import URL, make_url

T = TypeVar("T")

SERVERS = {
    "postgresql": make_url(
        os.environ.get("CHATRACK_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/postgres")
    ),
    "mysql": make_url(os.environ.get("CHATRACK_TEST_MYSQL", "mysql://root@127.0.0.1:3306/mysql")),
}
"""The servers' URLs; their users may create databases."""

KINDS = ("sqlite", *SERVERS)
"""The kinds of database that stores support."""

PLUGINS = {"sqlite": "sqlite_store", "postgresql": "postgres_store", "mysql": "mysql_store"}
"""The store plugin of each kind."""

_POOL = {"pool_size": 2, "max_overflow": 4}
"""Tests run many processes at once, and servers allow about a hundred connections."""


def store_tables(kind: str, url: str, **settings: object) -> str:
    """Return the table in config.toml of the store plugin for a database; the plugin is `PLUGINS[kind]`.

    Args:
        kind: one of `KINDS`.
        url: the URL that `new_database` yielded.
        settings: further settings of the plugin; they override those of the tests.
    """
    if kind == "sqlite":
        values: dict[str, object] = {"path": make_url(url).database, **settings}
    else:
        values = {"url": url, **_POOL, **settings}
    # Infinity and NaN, which JSON does not have, are inf and nan in TOML.
    lines = [
        f"{name} = {value if isinstance(value, float) else json.dumps(value)}"
        for name, value in values.items()
    ]
    return "\n".join([f"[plugins.{PLUGINS[kind]}]", *lines, ""])


@contextlib.contextmanager
def new_database(kind: str, folder: Path) -> Iterator[str]:
    """Create an empty database, yield its URL, and drop the database afterwards.

    Args:
        kind: one of `KINDS`.
        folder: the folder of a SQLite file.
    """
    if kind == "sqlite":
        yield URL.create("sqlite", database=str(folder / "chat.db")).render_as_string()
        return
    name = f"chatrack_test_{secrets.token_hex(6)}"
    execute(kind, f"CREATE DATABASE {name}")
    try:
        yield SERVERS[kind].set(database=name).render_as_string(hide_password=False)
    finally:
        force = " WITH (FORCE)" if kind == "postgresql" else ""
        execute(kind, f"DROP DATABASE {name}{force}")


def execute(kind: str, *statements: str, database: str | None = None) -> None:
    """Execute statements on a server, outside of any transaction.

    Args:
        kind: one of `SERVERS`.
        statements: run one after the other, over one connection.
        database: the name of the database; that of the server's URL if None.
    """
    url = SERVERS[kind] if database is None else SERVERS[kind].set(database=database)
    run_in_new_loop(lambda: _RUN[kind](url, statements))


@cache
def missing(kind: str) -> str | None:
    """Return why databases of a kind cannot be created here, or None if they can."""
    if kind == "sqlite":
        return None
    try:
        execute(kind, "SELECT 1")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncmy.errors.Error) as error:
        return f"{type(error).__name__}: {error}"
    return None


async def _postgresql(url: URL, statements: Sequence[str]) -> None:
    connection = await asyncpg.connect(url.render_as_string(hide_password=False), timeout=5)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _mysql(url: URL, statements: Sequence[str]) -> None:
    connection = await asyncmy.connect(
        host=url.host or "127.0.0.1",
        port=url.port or 3306,
        user=url.username,
        password=url.password or "",
        database=url.database,
        autocommit=True,
        connect_timeout=5,
    )
    try:
        async with connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
    finally:
        await connection.ensure_closed()


_RUN: dict[str, Callable[[URL, Sequence[str]], Awaitable[None]]] = {
    "postgresql": _postgresql,
    "mysql": _mysql,
}


def run_in_new_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine from where another loop may be running."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()
