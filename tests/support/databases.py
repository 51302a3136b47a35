"""Databases of each kind for tests; skips tests of a kind whose server does not answer."""

import contextlib
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import URL, inspect

from bench.databases import KINDS, PLUGINS, SERVERS, execute, missing, run_in_new_loop, store_tables
from chatrack.assembly import assemble, migrate_all
from chatrack.sql import Database

__all__ = [
    "KINDS",
    "PLUGINS",
    "SERVERS",
    "drop_databases",
    "execute",
    "new_database",
    "new_store_database",
    "only_sqlite",
    "over_apis_and_stores",
    "require",
    "store_tables",
]


@contextlib.contextmanager
def new_database(kind: str, folder: Path) -> Iterator[str]:
    """Yield the URL of an empty database, or skip the test.

    Args:
        kind: one of `KINDS`.
        folder: for a SQLite file.
    """
    if kind == "sqlite":
        yield _sqlite_url(folder / "chat.db")
        return
    require(kind)
    with _empty.borrow(kind) as name:
        yield _url(kind, name)


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
    """Yield the URL of a database with all tables and no rows. Tests may change rows only."""
    if kind == "sqlite":
        path = folder / "chat.db"
        path.write_bytes(_sqlite_file())
        yield _sqlite_url(path)
        return
    require(kind)
    with _tables.borrow(kind) as name:
        yield _url(kind, name)


class _Databases:
    """Databases on servers that one test after another uses.

    To create one for each test, and to drop it, costs PostgreSQL more than most tests do.

    Args:
        prepare: called with the kind and the name of a new database.
        clean: returns the statements that undo what a test has done.
    """

    def __init__(
        self, prepare: Callable[[str, str], None], clean: Callable[[str, str], Iterable[str]]
    ) -> None:
        self._prepare = prepare
        self._clean = clean
        self._free: dict[str, list[str]] = {}
        self._created: list[tuple[str, str]] = []

    @contextlib.contextmanager
    def borrow(self, kind: str) -> Iterator[str]:
        """Yield the name of a database."""
        free = self._free.setdefault(kind, [])
        if not free:
            name = f"chatrack_test_{secrets.token_hex(6)}"
            execute(kind, f"CREATE DATABASE {name}")
            self._created.append((kind, name))
            self._prepare(kind, name)
            free.append(name)
        name = free.pop()
        yield name
        execute(kind, *self._clean(kind, name), database=name)
        free.append(name)

    def drop(self) -> None:
        """Drop all of them."""
        self._free.clear()
        while self._created:
            kind, name = self._created.pop()
            execute(kind, f"DROP DATABASE {name}{' WITH (FORCE)' if kind == 'postgresql' else ''}")


def drop_databases() -> None:
    """Drop the databases that tests have shared."""
    _empty.drop()
    _tables.drop()


def _drop_objects(kind: str, name: str) -> Iterable[str]:
    if kind == "mysql":
        return [f"DROP DATABASE {name}", f"CREATE DATABASE {name}"]
    return [
        _DISCONNECT_OTHERS,
        """
        DO $$ DECLARE name text; BEGIN
            FOR name IN SELECT nspname FROM pg_namespace
                WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
            LOOP EXECUTE format('DROP SCHEMA %I CASCADE', name); END LOOP;
        END $$
        """,
        "CREATE SCHEMA public",
        "GRANT USAGE ON SCHEMA public TO public",
    ]


def _delete_rows(kind: str, name: str) -> Iterable[str]:
    deletes = [f"DELETE FROM {table}" for table in _table_names(kind, name)]
    return [_DISCONNECT_OTHERS, *deletes] if kind == "postgresql" else deletes


_DISCONNECT_OTHERS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def _create_tables(kind: str, name: str) -> None:
    _migrate(kind, _url(kind, name))


@cache
def _table_names(kind: str, name: str) -> list[str]:
    """Return the tables whose rows tests may change; those that refer to others first."""

    async def names() -> list[str]:
        database = Database(_url(kind, name))
        await database.start()
        async with database.read() as connection:
            found = await connection.run_sync(
                lambda connection: inspect(connection).get_sorted_table_and_fkc_names()
            )
        await database.stop()
        return [table for table, _ in reversed(found) if table and not table.endswith("_version")]

    return run_in_new_loop(names)


@cache
def _sqlite_file() -> bytes:
    """Return a SQLite file that has all tables and no rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chat.db")
        _migrate("sqlite", _sqlite_url(path))
        return path.read_bytes()


def _migrate(kind: str, url: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.toml")
        config.write_text(
            f'enabled = ["{PLUGINS[kind]}", "demo_provider", "todo_tools"]\n[chat]\nmodel = "demo"\n'
            + store_tables(kind, url)
        )
        run_in_new_loop(lambda: migrate_all(assemble(config)))


def _url(kind: str, name: str) -> str:
    return SERVERS[kind].set(database=name).render_as_string(hide_password=False)


def _sqlite_url(path: Path) -> str:
    return URL.create("sqlite", database=str(path)).render_as_string()


_empty = _Databases(lambda kind, name: None, _drop_objects)
_tables = _Databases(_create_tables, _delete_rows)
