"""Fixtures of the tests that run whole processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import openai_config
from tests.support.databases import KINDS, store_tables
from tests.support.process import Processes, Upstream, processes


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Every kind of database; tests to which it makes no difference say `only_sqlite`."""
    return str(request.param)


@pytest.fixture
def started(tmp_path: Path, store_url: str) -> Iterator[Processes]:
    """Starts processes; none of them outlives the test, nor its database."""
    with processes(tmp_path) as starter:
        yield starter


@pytest.fixture
async def provider(started: Processes) -> Upstream:
    """The fake OpenAI, in a process of its own."""
    return await started.upstream()


@pytest.fixture
def configure(
    write_config: Callable[..., Path], provider: Upstream, kind: str, store_url: str
) -> Callable[..., Path]:
    """Write a config whose model is the fake OpenAI; all of them share one database."""

    def configure_with(name: str = "config.toml", **options: str) -> Path:
        store = store_tables(kind, store_url)
        return write_config(openai_config(provider.url, kind=kind, store=store, **options), name)

    return configure_with
