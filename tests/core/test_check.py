"""`chatrack check` loads, validates and connects everything, and writes nothing."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect, make_url, text

from chatrack.sql import Database
from tests.support.commands import Outcome, mistake_of, run
from tests.support.databases import KINDS, PLUGINS, new_database, store_tables

over_every_kind = pytest.mark.parametrize("kind", KINDS)

LIFESPAN = """
@hookimpl
def lifespan(self):
    return self.live()

@contextlib.asynccontextmanager
async def live(self):
    raise AssertionError("check entered a lifespan")
    yield
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the config; the tests look at what appears in it."""
    path = tmp_path / "rack"
    path.mkdir()
    return path


@pytest.fixture
def store_url(kind: str, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    with new_database(kind, tmp_path) as url:
        yield url


def write_config(
    folder: Path, kind: str, url: str, *, enabled: str = "", extra: str = "", **settings: object
) -> str:
    path = folder / "config.toml"
    path.write_text(
        f'enabled = ["{PLUGINS[kind]}", "demo_provider", "todo_tools"{enabled}]\n[chat]\nmodel = "demo"\n'
        f"{store_tables(kind, url, **settings)}{extra}"
    )
    return str(path)


def tables_of(outcome: Outcome) -> dict[str, str]:
    """Return what a check says of the tables of each plugin."""
    lines = outcome.out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("tables"))
    rows = [lines[start].removeprefix("tables"), *lines[start + 1 :]]
    found = {}
    for row in rows:
        if not row.startswith(" "):
            break
        plugin, _, state = row.strip().partition(": ")
        found[plugin] = state
    return found


def contents(url: str) -> dict[str, list[str]]:
    """Return every table of a database with its rows."""

    async def read() -> dict[str, list[str]]:
        database = Database(url)
        await database.start()
        try:
            async with database.read() as connection:
                names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
                return {
                    name: sorted(str(row) for row in await connection.execute(text(f"SELECT * FROM {name}")))
                    for name in names
                }
        finally:
            await database.stop()

    return asyncio.run(read())


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


def set_revision(url: str, revision: str) -> None:
    async def write() -> None:
        database = Database(url)
        await database.start()
        try:
            statement = text("UPDATE chatrack_version SET version_num = :revision")
            await database.write(lambda connection: connection.execute(statement, {"revision": revision}))
        finally:
            await database.stop()

    asyncio.run(write())


@over_every_kind
def test_an_empty_database_passes_and_stays_empty(folder, kind, store_url):
    path = write_config(folder, kind, store_url)
    if kind == "sqlite":
        Path(make_url(store_url).database).touch()
    outcome = run("check", "--config", path)
    assert (outcome.code, outcome.err) == (0, "")
    state = "missing; created at start"
    assert tables_of(outcome) == {PLUGINS[kind]: state, "todo_tools": state}
    assert contents(store_url) == {}


@over_every_kind
def test_current_tables_pass_and_are_not_changed(folder, kind, store_url):
    path = write_config(folder, kind, store_url)
    assert run("migrate", "--config", path).code == 0
    before = contents(store_url)
    outcome = run("check", "--config", path)
    assert (outcome.code, outcome.err) == (0, "")
    assert set(tables_of(outcome)) == {PLUGINS[kind], "todo_tools"}
    assert all(state.startswith("current (") for state in tables_of(outcome).values())
    assert contents(store_url) == before


@over_every_kind
@pytest.mark.parametrize("auto_migrate", [False, True])
def test_older_tables_are_reported_and_not_changed(folder, kind, store_url, auto_migrate):
    settings = {} if kind == "sqlite" else {"auto_migrate": auto_migrate}
    path = write_config(folder, kind, store_url, **settings)
    assert run("migrate", "--config", path).code == 0
    set_revision(store_url, "0001")
    before = contents(store_url)
    outcome = run("check", "--config", path)
    state = tables_of(outcome)[PLUGINS[kind]]
    assert state.startswith("older (0001, this version needs ")
    if auto_migrate or kind == "sqlite":
        assert outcome.code == 0, outcome.err
        assert state.endswith("; migrated at start")
    else:
        line = mistake_of(outcome)
        assert PLUGINS[kind] in line
        assert "chatrack migrate" in line
        assert "auto_migrate" in line
    assert contents(store_url) == before


@over_every_kind
def test_a_plugin_with_a_database_of_its_own_is_checked_too(folder, kind, store_url):
    own = folder / "own" / "todos.db"
    extra = f'[plugins.todo_tools]\nurl = "sqlite:///{own}"\n'
    outcome = run("check", "--config", write_config(folder, kind, store_url, extra=extra))
    assert (outcome.code, outcome.err) == (0, "")
    assert not own.parent.exists()
    own.parent.write_text("a file")
    outcome = run("check", "--config", write_config(folder, kind, store_url, extra=extra))
    assert "plugin todo_tools" in mistake_of(outcome)


def test_an_absent_sqlite_file_passes_and_neither_it_nor_its_folder_is_created(folder):
    path = write_config(folder, "sqlite", f"sqlite:///{folder}/data/deeper/chat.db")
    outcome = run("check", "--config", path)
    assert (outcome.code, outcome.err) == (0, "")
    assert set(tables_of(outcome).values()) == {"missing; created at start"}
    assert [entry.name for entry in folder.iterdir()] == ["config.toml"]


def test_a_sqlite_file_and_its_folder_are_the_same_to_the_byte_afterwards(folder):
    path = write_config(folder, "sqlite", f"sqlite:///{folder}/chat.db")
    assert run("migrate", "--config", path).code == 0
    before = files_in(folder)
    assert run("check", "--config", path).code == 0
    assert files_in(folder) == before


def test_a_sqlite_file_in_another_journal_mode_keeps_it(folder):
    file = folder / "chat.db"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE mine (a)")
    before = files_in(folder)
    path = write_config(folder, "sqlite", f"sqlite:///{file}")
    assert run("check", "--config", path).code == 0
    assert files_in(folder) == {**before, "config.toml": Path(path).read_bytes()}


def test_tables_that_a_running_process_has_just_created_are_seen(folder):
    file = folder / "chat.db"
    path = write_config(folder, "sqlite", f"sqlite:///{file}")
    assert run("migrate", "--config", path).code == 0
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA wal_autocheckpoint=0")
        other.execute("UPDATE chatrack_version SET version_num = '0001'")
        other.commit()  # stays in the write-ahead log until this connection is closed
        before = files_in(folder)
        outcome = run("check", "--config", path)
        assert tables_of(outcome)["sqlite_store"].startswith("older (0001")
        after = files_in(folder)
        assert after.keys() == before.keys()
        assert after["chat.db"] == before["chat.db"]
        assert after["chat.db-wal"] == before["chat.db-wal"]


@pytest.mark.parametrize(
    ("exists", "forbidden"), [(True, "rack/chat.db"), (True, "rack"), (False, "rack")], ids=str
)
def test_a_sqlite_file_that_could_not_be_written_is_refused(folder, exists, forbidden, monkeypatch):
    path = write_config(folder, "sqlite", f"sqlite:///{folder}/chat.db")
    if exists:
        assert run("migrate", "--config", path).code == 0
    target = folder.parent / forbidden
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path) != target and allowed(path, mode)
    )  # root may write everywhere
    line = mistake_of(run("check", "--config", path))
    assert "sqlite_store" in line
    assert str(target) in line
    assert "not writable" in line


def test_a_lifespan_is_not_entered(folder, site):
    site.install("alive", LIFESPAN)
    path = write_config(folder, "sqlite", f"sqlite:///{folder}/chat.db", enabled=', "alive"')
    assert run("check", "--config", path).code == 0
    assert [entry.name for entry in folder.iterdir()] == ["config.toml"]


STORE = """
@hookimpl
def store(self):
    class Memory(SQLStore):
        database = None

        def __init__(self):
            self.calls = Path({calls!r})

        async def start(self):
            self.note("start")
            {start}

        async def health(self):
            self.note("health")
            {health}

        async def stop(self):
            self.note("stop")

        def note(self, name):
            with self.calls.open("a") as file:
                file.write(name + " ")
    return Memory()
"""


@pytest.mark.parametrize(
    ("start", "health", "calls"),
    [
        ("pass", "pass", "start health stop"),
        ("raise OSError('no\\nanswer')", "pass", "start"),
        ("pass", "raise chatrack.Unavailable('There is no answer.')", "start health stop"),
    ],
)
def test_a_store_without_a_sql_database_is_connected_and_asked_for_its_health(
    folder, site, tmp_path, start, health, calls
):
    noted = tmp_path / "calls"
    site.install("memory", STORE.format(calls=str(noted), start=start, health=health))
    path = folder / "config.toml"
    path.write_text('enabled = ["memory", "demo_provider"]\n[chat]\nmodel = "demo"\n')
    outcome = run("check", "--config", str(path))
    assert noted.read_text().split() == calls.split()
    if start == health:
        assert (outcome.code, outcome.err) == (0, "")
    else:
        line = mistake_of(outcome)
        assert "plugin memory (fake-memory 1.0): start: " in line
        assert "no answer" in line
