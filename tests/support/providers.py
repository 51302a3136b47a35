"""The provider contract over the fake upstream."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from chatrack import ModelProvider
from chatrack.testing import ProviderContract, RefusedModel
from tests.fake_openai import Serving, serve
from tests.support.waiting import LIMIT

KEY = "sk-3f9a8c-right"
WRONG_KEY = "sk-7d21e0b4-wrong"
"""What the fake upstream refuses."""


@contextlib.contextmanager
def serving_beside() -> Iterator[Serving]:
    """Yield a fake upstream that runs in a thread, and so outlives the event loop of a test."""
    started: Future[tuple[Serving, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        async with serve() as upstream:
            end = asyncio.Event()
            started.set_result((upstream, asyncio.get_running_loop(), end))
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    upstream, loop, end = started.result(LIMIT)
    yield upstream
    loop.call_soon_threadsafe(end.set)
    thread.join()


@contextlib.asynccontextmanager
async def provided(plugin_class: Any, name: str, **settings: Any) -> AsyncIterator[ModelProvider]:
    """Yield the provider that a plugin registers under a name, within the plugin's lifespan."""
    plugin = plugin_class(plugin_class.Settings(**settings))
    providers: Mapping[str, ModelProvider] = plugin.model_providers()
    async with plugin.lifespan():
        yield providers[name]


class FakeContract(ProviderContract):
    """The contract for a provider whose models are the fake upstream's."""

    def opened(self, url: str, key: str) -> AbstractAsyncContextManager[ModelProvider]:
        """Open the provider with a base URL and a key."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def upstream(cls):
        with serving_beside() as upstream:
            yield upstream

    @pytest.fixture
    def url(self, upstream):
        return upstream.url

    @pytest.fixture
    async def provider(self, url):
        async with self.opened(url, KEY) as provider:
            yield provider

    @pytest.fixture
    def model_name(self):
        return "fake"

    @pytest.fixture
    def slow_model(self, provider, model_name):
        return provider.get_model(f"{model_name}-d20")

    @pytest.fixture
    async def refused(self, url, model_name):
        async with self.opened(url, WRONG_KEY) as provider:
            yield RefusedModel(model=provider.get_model(model_name), fault="authentication", secret=WRONG_KEY)
