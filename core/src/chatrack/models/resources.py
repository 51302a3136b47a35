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
        options, body = _taken_apart(given)
        return await self.client.post(
            "/responses",
            body=body,
            options=options,
            cast_to=Response,
            stream=bool(body.get("stream")),
            stream_cls=AsyncStream[ResponseStreamEvent],
        )


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
        options, body = _taken_apart(given)
        return await self.client.post(
            "/chat/completions",
            body=body,
            options=options,
            cast_to=ChatCompletion,
            stream=bool(body.get("stream")),
            stream_cls=AsyncStream[ChatCompletionChunk],
        )


_OPTIONS = {
    "extra_headers": "headers",
    "extra_query": "params",
    "extra_body": "extra_json",
    "timeout": "timeout",
}


def _taken_apart(given: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Tell what is for the client from what is for the provider."""
    options: dict[str, Any] = {"security": {"bearer_auth": True}}
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
    return options, body
