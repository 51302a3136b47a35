"""Fixtures of the fake upstream's own tests; `upstream` itself is for all tests."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI

from tests.fake_openai import Serving

PATHS = {
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
    "gemini": "/v1beta/openai/chat/completions",
}


@pytest.fixture
async def client(upstream: Serving) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's client, that does not retry."""
    async with AsyncOpenAI(api_key="sk-test", base_url=upstream.url, max_retries=0) as client:
        yield client


@pytest.fixture
async def raw(upstream: Serving) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that knows no API."""
    async with httpx2.AsyncClient(
        base_url=upstream.url.removesuffix("/v1"), headers={"Authorization": "Bearer sk-test"}
    ) as raw:
        yield raw


Post = Callable[..., Awaitable[httpx2.Response]]


@pytest.fixture
def post(raw: httpx2.AsyncClient) -> Post:
    """Ask a model of an API something, and read the whole answer."""

    async def post(api: str, model: str, said: Any = "hi", **more: Any) -> httpx2.Response:
        if api == "responses":
            source = {"input": said}
        else:
            source = {"messages": [{"role": "user", "content": said}] if isinstance(said, str) else said}
        return await raw.post(PATHS[api], json={"model": model, **source, **more})

    return post


@pytest.fixture
def stream(post: Post) -> Callable[..., Awaitable[list[dict[str, Any]]]]:
    """The same as a stream of events."""

    async def stream(*args: Any, **more: Any) -> list[dict[str, Any]]:
        answer = await post(*args, stream=True, **more)
        assert answer.status_code == 200, answer.text
        data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
        return [json.loads(text) for text in data if text != "[DONE]"]

    return stream
