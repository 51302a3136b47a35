"""The two API calls that produce answers, posted as they are given.

The openai client walks through every request along with its type, to rename fields that have their names already;
with a few tools that takes as long as receiving fifty tokens.
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
    """The Responses API, without the client's transformation of requests.

    Args:
        client: the client that sends the requests.
    """

    def __init__(self, client: AsyncOpenAI) -> None:
        super().__init__(client)
        self.client = client

    async def create(self, **given: Any) -> Any:
        """Create a response; takes and returns what the client's own method does."""
        return await _post(self.client, "/responses", given, Response, AsyncStream[ResponseStreamEvent])


class PlainCompletions(AsyncCompletions):
    """Chat Completions, without the client's transformation of requests.

    Args:
        client: the client that sends the requests.
    """

    def __init__(self, client: AsyncOpenAI) -> None:
        super().__init__(client)
        self.client = client

    async def create(self, **given: Any) -> Any:
        """Create a completion; takes and returns what the client's own method does."""
        chunks = AsyncStream[ChatCompletionChunk]
        return await _post(self.client, "/chat/completions", given, ChatCompletion, chunks)


_REQUEST_OPTIONS = {
    "extra_headers": "headers",
    "extra_query": "params",
    "extra_body": "extra_json",
    "timeout": "timeout",
}
"""Arguments that are not part of the body, and the client's names for them."""


async def _post(
    client: AsyncOpenAI,
    path: str,
    given: Mapping[str, Any],
    response_type: type[BaseModel],
    stream_cls: type[AsyncStream[Any]],
) -> Any:
    """Separate request options from the body, and post the body."""
    options: Any = {"security": {"bearer_auth": True}}
    body: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, NotGiven | Omit):
            continue
        if name not in _REQUEST_OPTIONS:
            body[name] = (
                value.model_dump(mode="json", exclude_unset=True) if isinstance(value, BaseModel) else value
            )
        elif value is not None:
            options[_REQUEST_OPTIONS[name]] = value
    stream = bool(body.get("stream"))
    return await client.post(
        path, body=body, options=options, cast_to=response_type, stream=stream, stream_cls=stream_cls
    )
