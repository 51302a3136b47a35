"""The two calls that answers come from, sent as they are given.

The openai client walks through every request with its type at hand, to rename fields that need no renaming here;
with a few tools that costs as much as receiving fifty tokens.
"""

from collections.abc import Mapping
from typing import Any

from openai import AsyncOpenAI, AsyncStream, NotGiven, Omit
from openai.resources.chat.completions import AsyncCompletions
from openai.resources.responses import AsyncResponses
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel


class PlainResponses(AsyncResponses):
    """The Responses API.

    Args:
        client: what sends.
    """

    def __init__(self, client: AsyncOpenAI) -> None:
        super().__init__(client)
        self.client = client

    async def create(self, **given: Any) -> Any:
        """Ask for an answer; arguments and result are the client's."""
        return await _post(self.client, "/responses", given, Response, AsyncStream[ResponseStreamEvent])


class PlainCompletions(AsyncCompletions):
    """Chat Completions.

    Args:
        client: what sends.
    """

    def __init__(self, client: AsyncOpenAI) -> None:
        super().__init__(client)
        self.client = client

    async def create(self, **given: Any) -> Any:
        """Ask for an answer; arguments and result are the client's."""
        chunks = AsyncStream[ChatCompletionChunk]
        return await _post(self.client, "/chat/completions", given, ChatCompletion, chunks)


_OPTIONS = {
    "extra_headers": "headers",
    "extra_query": "params",
    "extra_body": "extra_json",
    "timeout": "timeout",
}


async def _post(
    client: AsyncOpenAI,
    path: str,
    given: Mapping[str, Any],
    whole: type[BaseModel],
    stream_cls: type[AsyncStream[Any]],
) -> Any:
    """Tell what is for the client from what is for the provider, and send it."""
    options: Any = {"security": {"bearer_auth": True}}
    body: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, NotGiven | Omit):
            continue
        if name not in _OPTIONS:
            body[name] = (
                value.model_dump(mode="json", exclude_unset=True) if isinstance(value, BaseModel) else value
            )
        elif value is not None:
            options[_OPTIONS[name]] = value
    stream = bool(body.get("stream"))
    return await client.post(
        path, body=body, options=options, cast_to=whole, stream=stream, stream_cls=stream_cls
    )
