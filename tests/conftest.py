"""Fixtures that all tests may use."""

import json
import os
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from bench.upstream import serve as serve_upstream
from tests.support.serving import Chat, serving


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything that tests need has to be there."""
    report = yield
    if report.skipped and os.environ.get("CHATRACK_REQUIRE_SERVICES") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"CHATRACK_REQUIRE_SERVICES is set, and {item.nodeid} was skipped: {report.longrepr}"
        )
    return report


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[..., Path]:
    """Write a config.toml into the test's folder."""

    def write(text: str, name: str = "config.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
async def upstream() -> AsyncIterator[Any]:
    """A fake OpenAI that streams both APIs and refuses what the real one refuses."""
    async with serve_upstream() as running_upstream:
        yield running_upstream


def openai_config(url: str, *, model: str = "fake", api: str = "responses", **tables: str) -> str:
    """A config whose model is the fake upstream; `tables` add lines to `[server]`, `[chat]` and more."""
    extra = tables.pop("extra", "")
    return f"""
enabled = {json.dumps(json.loads(tables.pop("enabled", '["sqlite_store", "openai_provider", "todo_tools"]')))}
[server]
{tables.pop("server", "")}
[chat]
agent = {json.dumps(tables.pop("agent", "helper"))}
model = "openai/{model}"
{tables.pop("chat", "")}
[agents.helper]
instructions = "You help."
tools = {tables.pop("tools", '["todo_tools.*"]')}
[plugins.sqlite_store]
path = "chat.db"
[plugins.openai_provider]
api_key = "sk-test"
base_url = "{url}"
api = "{api}"
{extra}
"""


@pytest.fixture(params=["responses", "chat_completions"])
def api(request: pytest.FixtureRequest) -> str:
    """Both of OpenAI's APIs."""
    return str(request.param)


@pytest.fixture
def configure(write_config: Callable[..., Path], upstream: Any) -> Callable[..., Path]:
    """Write a config whose model is the fake upstream."""

    def configure_with(**options: str) -> Path:
        return write_config(openai_config(upstream.url, **options))

    return configure_with


@pytest.fixture
async def chat(configure: Callable[..., Path]) -> AsyncIterator[Chat]:
    """A client of a server over SQLite and the fake upstream."""
    async with serving(configure()) as client:
        yield client
