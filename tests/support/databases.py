"""Empty databases of each kind for tests; skips tests of a kind whose server does not answer."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.databases import KINDS, PLUGINS, SERVERS, execute, missing, store_tables
from bench.databases import new_database as _new_database
from chatrack.sql import Database, migrate, store_migrations

__all__ = [
    "KINDS",
    "PLUGINS",
    "SERVERS",
    "execute",
    "new_database",
    "only_sqlite",
    "over_apis_and_stores",
    "require",
    "store_tables",
]


@contextlib.contextmanager
def new_database(kind: str, folder: Path) -> Iterator[str]:
    """Create an empty database and yield its URL, or skip the test.

    Args:
        kind: one of `KINDS`.
        folder: for a SQLite file.
    """
    require(kind)
    with _new_database(kind, folder) as url:
        yield url


def require(kind: str) -> None:
    """Skip the test if the server of this kind does not answer."""
    reason = missing(kind)
    if reason is not None:
        shown = SERVERS[kind].render_as_string(hide_password=True)
        pytest.skip(f"{kind} does not answer at {shown}: {reason}")


def only_sqlite(reason: str) -> pytest.MarkDecorator:
    """Run a test over SQLite alone where others run over every kind.

    Args:
        reason: why the store makes no difference to it.
    """
    assert reason
    return pytest.mark.parametrize("kind", ["sqlite"])


over_apis_and_stores = pytest.mark.parametrize(
    ("kind", "api"),
    [
        ("sqlite", "responses"),
        ("sqlite", "chat_completions"),
        *((kind, "responses") for kind in SERVERS),
    ],
)
"""Run a test over both of OpenAI's APIs, and over every kind of database with one of them: stores do not depend on APIs."""


@contextlib.contextmanager
def new_store_database(kind: str, folder: Path) -> Iterator[str]:
    """Yield the URL of a new database that has the tables of the store."""

    async def make_tables(url: str) -> None:
        database = Database(url)
        await database.start()
        await migrate(store_migrations(database))
        await database.stop()

    with new_database(kind, folder) as url:
        asyncio.run(make_tables(url))
        yield url
