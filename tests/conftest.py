"""Fixtures that all tests may use."""

import json
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.fake_openai import serve as serve_upstream
from tests.support.auth import install_who
from tests.support.databases import PLUGINS, drop_databases, new_store_database, store_tables
from tests.support.forked import start_fork_server, use_fork_server
from tests.support.plugins import Site, installed_site
from tests.support.serving import Chat, serving

pytest.register_assert_rewrite("tests.support.server_stores")  # tests that plugins' tests import

# structlog's own choice shows the values of all variables with a traceback, which takes a second for each.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let all workers fork their servers from one process."""
    node.workerinput["fork_server"] = start_fork_server()


def pytest_configure(config: pytest.Config) -> None:
    """Use that process, in a worker."""
    if hasattr(config, "workerinput"):
        use_fork_server(config.workerinput["fork_server"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long tests, so that in the end nobody waits for one of them."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn skips into failures if `CHATRACK_REQUIRE_SERVICES` is set."""
    report = yield
    if report.skipped and os.environ.get("CHATRACK_REQUIRE_SERVICES") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"CHATRACK_REQUIRE_SERVICES is set, and {item.nodeid} was skipped: {report.longrepr}"
        )
    return report


@pytest.fixture(autouse=True)
def logging_is_restored() -> Iterator[None]:
    """Fail a test that leaves structlog configured otherwise: later ones would not find what is logged."""
    before = structlog.get_config()
    yield
    if structlog.get_config() != before:
        structlog.configure(**before)
        pytest.fail("this test has configured logging and not restored it; see `same_logging`")


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    """Write a config.toml into the test's folder."""

    def write(text: str, name: str = "config.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A folder of installed distributions, on `sys.path`; tests install their plugins there."""
    with installed_site(tmp_path / "site", monkeypatch) as site:
        yield site


@pytest.fixture
def who(site: Site) -> None:
    """Install the plugin `who`, whose route tells who the user is."""
    install_who(site)


@pytest.fixture
async def upstream() -> AsyncIterator[Any]:
    """A fake OpenAI that streams both APIs and refuses what the real one refuses."""
    async with serve_upstream() as running_upstream:
        yield running_upstream


def openai_config(
    url: str,
    *,
    model: str = "fake",
    api: str = "responses",
    kind: str = "sqlite",
    store: str = '[plugins.sqlite_store]\npath = "chat.db"\n',
    todos: bool = False,
    **tables: str,
) -> str:
    """Return a config whose model is the fake upstream's.

    Args:
        url: the base URL of the upstream.
        model: the name of its model.
        api: which of its APIs.
        kind: the kind of database; a name of `sqlite_store` in `enabled` becomes that of its plugin.
        store: the table of the store's plugin.
        todos: whether todo_tools are enabled, and the agent has them. Making them takes as long as the rest of a start.
        tables: lines for `[server]`, `[chat]` and more.
    """
    extra = tables.pop("extra", "")
    plugins = ["sqlite_store", "openai_provider", *["todo_tools"] * todos]
    enabled = tables.pop("enabled", json.dumps(plugins))
    return f"""
enabled = {enabled.replace("sqlite_store", PLUGINS[kind])}
[server]
{tables.pop("server", "")}
[chat]
agent = {json.dumps(tables.pop("agent", "helper"))}
model = "openai/{model}"
{tables.pop("chat", "")}
[agents.helper]
instructions = "You help."
tools = {tables.pop("tools", '["todo_tools.*"]' if "todo_tools" in enabled else "[]")}
{store}
[plugins.openai_provider]
api_key = "sk-test"
base_url = "{url}"
api = "{api}"
{extra}
"""


@pytest.fixture
def kind() -> str:
    """The kind of the database; tests over other kinds parametrize it."""
    return "sqlite"


@pytest.fixture(scope="session", autouse=True)
def databases() -> Iterator[None]:
    """Drop the databases that tests have shared."""
    yield
    drop_databases()


@pytest.fixture
def made_tables(tmp_path: Path) -> Iterator[None]:
    """Put a SQLite file that has all tables and no rows where a config with `path = "chat.db"` finds it."""
    with new_store_database("sqlite", tmp_path):
        yield


@pytest.fixture
def store_url(kind: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of that kind, with all tables and no rows."""
    with new_store_database(kind, tmp_path) as url:
        yield url


@pytest.fixture(params=["responses", "chat_completions"])
def api(request: pytest.FixtureRequest) -> str:
    """Both of OpenAI's APIs."""
    return str(request.param)


@pytest.fixture
def configure(
    write_config: Callable[..., Path], upstream: Any, kind: str, store_url: str
) -> Callable[..., Path]:
    """Write a config whose model is the fake upstream's."""

    def configure_with(**options: Any) -> Path:
        store = store_tables(kind, store_url)
        return write_config(openai_config(upstream.url, kind=kind, store=store, **options))

    return configure_with


@pytest.fixture
async def chat(configure: Callable[..., Path]) -> AsyncIterator[Chat]:
    """A client of a server over a database of that kind and the fake upstream."""
    async with serving(configure()) as client:
        yield client
