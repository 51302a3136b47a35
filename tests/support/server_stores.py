"""Tests of every store over a database server. The tests of a plugin import all of them, and define a fixture `kind`."""

import asyncio
import contextlib
import json
import math
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chatkit.types import InferenceOptions, ThreadMetadata, UserMessageItem, UserMessageTextContent
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

import chatrack.sql
from chatrack import RequestContext, User
from chatrack.clock import now
from chatrack.errors import ConfigError, Unavailable
from chatrack.interfaces import Migrations
from chatrack.sql import Database, Pool, SQLStore, migrate, store_migrations
from tests.support.commands import mistake_of, run
from tests.support.databases import PLUGINS, SERVERS, new_database, store_tables
from tests.support.process import Processes, processes
from tests.support.serving import serving
from tests.support.waiting import LIMIT, until

HOSTS = {"postgresql": "postgresql://ada:hunter2@host", "mysql": "mysql://ada:hunter2@host"}

SLEEP = {"postgresql": "SELECT pg_sleep(:seconds)", "mysql": "SELECT SLEEP(:seconds)"}

RUNNING = {
    "postgresql": (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE query LIKE '%pg_sleep%' AND state = 'active' AND pid <> pg_backend_pid()"
    ),
    "mysql": (
        "SELECT count(*) FROM information_schema.processlist"
        " WHERE info LIKE '%SLEEP%' AND id <> connection_id()"
    ),
}

HUNTER = "hunter2"
"""A password that must never be printed."""


@pytest.fixture
def store_url(kind: str, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    with new_database(kind, tmp_path) as url:
        yield url


@pytest.fixture
def configure(kind: str, tmp_path: Path) -> Callable[..., Path]:
    """Write a config over a database, by default with nothing but its URL."""

    def write(url: str | None, lines: str = "", *, extra: str = "", **settings: object) -> Path:
        table = f"[plugins.{PLUGINS[kind]}]\n" if url is None else store_tables(kind, url, **settings)
        path = tmp_path / "config.toml"
        path.write_text(
            f"""
enabled = ["{PLUGINS[kind]}", "demo_provider", "todo_tools"]
[server]
port = 0
[chat]
model = "demo"
{table}
{lines}
{extra}
""",
            encoding="utf-8",
        )
        return path

    return write


@pytest.fixture
def started(tmp_path: Path, store_url: str) -> Iterator[Processes]:
    """Starts processes, which end before the database is dropped."""
    with processes(tmp_path) as starter:
        yield starter


@contextlib.asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Database]:
    """Yield a started database."""
    database = Database(url, pool=Pool(**{"size": 2, "max_overflow": 2, **options}))
    await database.start()
    try:
        yield database
    finally:
        await database.stop()


async def rows_of(url: str, statement: str) -> list[Any]:
    """Return the rows of a query."""
    async with opened(url) as database, database.read() as connection:
        return list((await connection.execute(text(statement))).all())


def mistake(path: Path, *, kind: str, key: str = "url") -> str:
    """Return the single line with which a server refuses to start; it names the key and no password."""
    outcome = run("serve", "--config", str(path))
    line = mistake_of(outcome)
    assert f"plugins.{PLUGINS[kind]}.{key}" in line
    assert HUNTER not in outcome.out + outcome.err
    return line


# -- mistakes in the settings ------------------------------------------------------------------------------


def test_a_missing_url_is_one_plain_line(configure, kind):
    assert "missing" in mistake(configure(None), kind=kind)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda _: HUNTER, id="a word"),
        pytest.param(lambda url: url.replace("://", "//"), id="no scheme"),
        pytest.param(lambda url: f"{url}:port/name", id="a port that is no number"),
        pytest.param(lambda url: f"{url}:1:2/name", id="two ports"),
        pytest.param(lambda _: f"sqlite:///{HUNTER}.db", id="SQLite"),
        pytest.param(lambda _: f"mongodb://ada:{HUNTER}@host/name", id="unknown kind"),
        pytest.param(lambda url: url, id="no database"),
        pytest.param(lambda url: f"{url}/", id="an empty database"),
    ],
)
def test_a_url_that_is_none_of_this_kind_is_one_plain_line_with_an_example(configure, kind, change):
    line = mistake(configure(change(HOSTS[kind])), kind=kind)
    assert f"{kind}://user:password@host/database" in line


def test_the_url_of_another_kind_of_server_is_one_plain_line(configure, kind):
    (other,) = SERVERS.keys() - {kind}
    assert other in mistake(configure(f"{HOSTS[other]}/name"), kind=kind)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pool_size", 0),
        ("pool_size", "many"),
        ("max_overflow", -1),
        ("pool_timeout", 0),
        ("pool_timeout", math.inf),
        ("statement_timeout", -1),
        ("statement_timeout", math.inf),
        ("statement_timeout", math.nan),
        ("auto_migrate", "yes"),
        ("pool", 3),
    ],
)
def test_a_setting_that_cannot_be_is_one_plain_line(configure, kind, key, value):
    mistake(configure(f"{HOSTS[kind]}/name", **{key: value}), kind=kind, key=key)


def test_all_mistakes_are_reported_at_once(configure, kind):
    outcome = run("check", "--config", str(configure(None, "pool_size = 0\npool_timeout = 0")))
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 3
    assert all(key in outcome.err for key in ("url", "pool_size", "pool_timeout"))


# -- servers that cannot be reached ------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_one_plain_line(configure, kind):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    line = mistake(configure(f"{kind}://ada:{HUNTER}@127.0.0.1:{port}/name"), kind=kind)
    assert "cannot connect to 127.0.0.1" in line


async def test_a_server_that_says_nothing_is_given_up(kind):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = Database(f"{kind}://ada:{HUNTER}@127.0.0.1:{port}/name", label="the label")
        async with asyncio.timeout(LIMIT):
            with pytest.raises(ConfigError, match="the label: cannot connect to 127.0.0.1") as caught:
                await database.start()
    assert HUNTER not in str(caught.value)


def test_a_host_that_does_not_exist_is_one_plain_line(configure, kind):
    line = mistake(configure(f"{kind}://ada:{HUNTER}@nowhere.invalid/name"), kind=kind)
    assert "nowhere.invalid" in line


def test_a_user_that_does_not_exist_is_one_plain_line(configure, kind, store_url):
    stranger = make_url(store_url).set(username="stranger", password=HUNTER)
    line = mistake(configure(stranger.render_as_string(hide_password=False)), kind=kind)
    assert "stranger" in line


def test_a_database_that_does_not_exist_is_one_plain_line(configure, kind, store_url):
    other = make_url(store_url).set(database="chatrack_not_there")
    line = mistake(configure(other.render_as_string(hide_password=False)), kind=kind)
    assert "chatrack_not_there" in line


@pytest.mark.parametrize("command", [["check"], ["migrate"], ["serve", "--workers", "2"]])
def test_every_command_says_so(configure, kind, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    path = configure(f"{kind}://ada:{HUNTER}@127.0.0.1:{port}/name")
    outcome = run(*command, "--config", str(path))
    assert f"plugins.{PLUGINS[kind]}.url: cannot connect" in mistake_of(outcome)
    assert HUNTER not in outcome.out + outcome.err


def test_a_driver_that_is_not_installed_is_one_plain_line_that_names_the_distribution(
    tmp_path, kind, monkeypatch
):
    driver = {"postgresql": "asyncpg", "mysql": "asyncmy"}[kind]
    monkeypatch.setitem(sys.modules, driver, None)
    for module in [name for name in sys.modules if name.startswith(f"chatrack_{PLUGINS[kind]}")]:
        monkeypatch.delitem(sys.modules, module)
    path = tmp_path / "config.toml"
    path.write_text(
        'enabled = ["sqlite_store", "demo_provider", "todo_tools"]\n[chat]\nmodel = "demo"\n'
        f'[plugins.todo_tools]\nurl = "{HOSTS[kind]}/name"\n'
    )
    line = mistake_of(run("check", "--config", str(path)))
    assert "plugins.todo_tools.url: " in line
    assert driver in line
    assert f"reinstall chatrack-{PLUGINS[kind].replace('_', '-')}" in line
    assert HUNTER not in line


async def test_what_a_server_does_not_take_is_no_outage(store_url):
    async with opened(store_url) as database:
        await database.write(lambda connection: connection.execute(text("CREATE TABLE t (a VARCHAR(3))")))
        for statement in ("INSERT INTO t VALUES ('long')", "SELECT nothing FROM nowhere", "SELEKT"):
            with pytest.raises(DBAPIError):
                await database.write(lambda connection, s=statement: connection.execute(text(s)))


# -- limits of time ----------------------------------------------------------------------------------------


async def test_a_statement_that_takes_too_long_is_ended(kind, store_url):
    async with opened(store_url, statement_timeout=2.0) as database:
        with pytest.raises(Unavailable):
            async with database.read() as connection:
                await connection.execute(text(SLEEP[kind]), {"seconds": 600})
        # The server has ended it too, and does not work on for nobody.
        async with database.read() as connection:
            assert (await connection.execute(text(RUNNING[kind]))).scalar_one() == 0
        await database.health()


async def test_a_request_whose_statement_takes_too_long_gets_503(configure, store_url):
    async with serving(configure(store_url, statement_timeout=4.0)) as chat:
        thread, _ = await chat.create("hello")
        async with locked(store_url, thread):
            response = await chat.call("threads.update", thread_id=thread, title="new")
        assert_unavailable(response)
        assert (await chat.get("threads.update", thread_id=thread, title="newer"))["title"] == "newer"


async def test_a_request_that_waits_too_long_for_a_connection_gets_503(configure, store_url):
    config = configure(store_url, pool_size=1, max_overflow=0, pool_timeout=2.0, statement_timeout=600.0)
    async with serving(config) as chat:
        thread, _ = await chat.create("hello")
        async with locked(store_url, thread):
            holding = asyncio.create_task(chat.call("threads.update", thread_id=thread, title="new"))

            async def refused():
                response = await chat.call("threads.list", limit=20)
                return response if response.status_code != 200 else None

            response = await until(refused)
        assert_unavailable(response)
        assert (await holding).status_code == 200
        assert len((await chat.get("threads.list", limit=20))["data"]) == 1


@contextlib.asynccontextmanager
async def locked(url: str, thread_id: str) -> AsyncIterator[None]:
    """Lock the row of a thread, as a forgotten transaction does."""
    held, free = asyncio.Event(), asyncio.Event()

    async def hold(connection):
        await connection.execute(
            text("SELECT id FROM chatrack_threads WHERE id = :id FOR UPDATE"), {"id": thread_id}
        )
        held.set()
        await free.wait()

    async with opened(url) as database:
        holding = asyncio.create_task(database.write(hold))
        await held.wait()
        try:
            yield
        finally:
            free.set()
            await holding


def assert_unavailable(response):
    assert response.status_code == 503, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    assert int(response.headers["retry-after"]) >= 1


# -- tables of another age ---------------------------------------------------------------------------------


@pytest.fixture
async def older(store_url: str, tmp_path: Path) -> str:
    """A database whose store has only the tables of its first revision."""
    folder = tmp_path / "older"
    shutil.copytree(Path(chatrack.sql.__file__).with_name("migrations"), folder)
    for path in (folder / "versions").glob("*.py"):
        if not path.name.startswith("0001"):
            path.unlink()
    async with opened(store_url) as database:
        history = store_migrations(database)
        await migrate(
            Migrations(
                name=history.name, folder=folder, version_table=history.version_table, database=database
            )
        )
    assert await revision(store_url) == "0001"
    return store_url


async def revision(url: str) -> str:
    """Return the revision of the store's tables."""
    ((found,),) = await rows_of(url, "SELECT version_num FROM chatrack_version")
    return str(found)


def newest() -> str:
    """Return the revision that the code needs."""
    versions = Path(chatrack.sql.__file__).with_name("migrations") / "versions"
    return max(path.name for path in versions.glob("*.py"))[:4]


async def test_an_empty_database_gets_its_tables_at_start(configure, store_url):
    async with serving(configure(store_url)) as chat:
        thread, _ = await chat.create("add milk")
        assert await chat.answers(thread)
    assert await revision(store_url) == newest()


def test_an_older_database_is_refused_at_start_and_left_as_it_is(configure, kind, older):
    line = mistake_of(run("serve", "--config", str(configure(older))))
    assert PLUGINS[kind] in line
    assert "chatrack migrate" in line
    assert "auto_migrate" in line
    assert asyncio.run(revision(older)) == "0001"


def test_an_older_database_is_brought_up_to_date_by_migrate(configure, older):
    path = str(configure(older))
    done = run("migrate", "--config", path)
    assert (done.code, done.err) == (0, "")
    assert newest() in done.out
    assert asyncio.run(revision(older)) == newest()
    assert run("check", "--config", path).code == 0
    again = run("migrate", "--config", path)
    assert (again.code, again.err) == (0, "")


async def test_an_older_database_is_brought_up_to_date_at_start_if_it_may_be(configure, older):
    async with serving(configure(older, auto_migrate=True)) as chat:
        await chat.create("hello")
    assert await revision(older) == newest()


@pytest.mark.parametrize("command", ["serve", "check", "migrate"])
def test_a_newer_database_is_refused(configure, older, kind, command):
    async def make_newer():
        async with opened(older) as database:
            statement = text("UPDATE chatrack_version SET version_num = '9999'")
            await database.write(lambda connection: connection.execute(statement))

    asyncio.run(make_newer())
    for auto_migrate in (False, True):
        path = configure(older, auto_migrate=auto_migrate)
        line = mistake_of(run(command, "--config", str(path)))
        assert PLUGINS[kind] in line
        assert "9999" in line
        assert "newer" in line
    assert asyncio.run(revision(older)) == "9999"


async def test_ten_processes_that_start_at_once_over_an_empty_database_migrate_it_once(
    started, configure, store_url
):
    path = configure(store_url)
    servers = [started.spawn(path) for _ in range(10)]
    for server in servers:
        await server.ready()
    logs = "".join(server.log() for server in servers)
    assert logs.count("migrated") == 2, logs  # the store's tables and the todos'
    async with servers[0].chat() as chat, servers[9].chat() as other:
        thread, _ = await chat.create("hello")
        assert len(await other.items(thread)) == 2
    for server in servers:
        server.send(15)
    for server in servers:
        assert await server.wait() == 0
        server.assert_clean()


# -- names -------------------------------------------------------------------------------------------------


async def test_names_that_differ_in_case_accents_or_blanks_are_different(store_url):
    names = ["ada", "ADA", "ada ", "àda", "a\u0300da"]
    async with opened(store_url) as database:
        await migrate(store_migrations(database))
        store = SQLStore(database)
        contexts = [RequestContext(user=User(id=name), request_id="req_1") for name in names]
        for context in contexts:
            thread = ThreadMetadata(id=f"thr_{context.user.id}", created_at=now(), title=context.user.id)
            await store.save_thread(thread, context)
        for context in contexts:
            page = await store.load_threads(20, None, "asc", context)
            assert [thread.title for thread in page.data] == [context.user.id]

        context = contexts[0]
        for name in names:
            item = UserMessageItem(
                id=f"msg_{name}",
                thread_id="thr_ada",
                created_at=now(),
                content=[UserMessageTextContent(text=name)],
                attachments=[],
                inference_options=InferenceOptions(),
            )
            await store.add_thread_item("thr_ada", item, context)
        page = await store.load_thread_items("thr_ada", None, 20, "asc", context)
        assert [json.loads(item.model_dump_json())["content"][0]["text"] for item in page.data] == names
