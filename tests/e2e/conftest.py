"""Fixtures of the tests that run whole processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import openai_config
from tests.support.process import Processes, Upstream, processes


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Processes]:
    """Starts processes; none of them outlives the test."""
    with processes(tmp_path) as starter:
        yield starter


@pytest.fixture
async def provider(started: Processes) -> Upstream:
    """The fake OpenAI, in a process of its own."""
    return await started.upstream()


@pytest.fixture
def configure(write_config: Callable[..., Path], provider: Upstream) -> Callable[..., Path]:
    """Write a config whose model is the fake OpenAI; all of them share one database."""

    def configure_with(name: str = "config.toml", **options: str) -> Path:
        return write_config(openai_config(provider.url, **options), name)

    return configure_with
