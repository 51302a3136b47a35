"""Fixtures of the tests that run servers in their own processes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import openai_config
from tests.support.databases import KINDS, store_tables
from tests.support.process import Processes, Upstream, processes


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Every kind of database; tests that do not depend on it use `only_sqlite`."""
    return str(request.param)


@pytest.fixture
def started(tmp_path: Path, store_url: str) -> Iterator[Processes]:
    """Starts processes, which end before the database is dropped."""
    with processes(tmp_path) as starter:
        yield starter


@pytest.fixture
async def provider(started: Processes) -> Upstream:
    """The fake OpenAI, in its own process."""
    return await started.upstream()


@pytest.fixture
def configure(
    write_config: Callable[..., Path], provider: Upstream, kind: str, store_url: str
) -> Callable[..., Path]:
    """Write a config whose model is the fake OpenAI; all of them share one database."""

    def configure_with(name: str = "config.toml", **options: Any) -> Path:
        store = store_tables(kind, store_url)
        return write_config(openai_config(provider.url, kind=kind, store=store, **options), name)

    return configure_with
