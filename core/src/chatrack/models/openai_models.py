"""Models over OpenAI's two APIs: the Agents SDK's, with settings for a server that keeps the history itself."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

from agents import ModelResponse, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel
from agents.items import TResponseStreamEvent
from openai import AsyncOpenAI

from chatrack.models.client import ENCRYPTED_REASONING
from chatrack.models.delta_fast_path import DELTA_FAST_PATH, bypass_queue

_WITHOUT_REASONING = ("gpt-3.5", "gpt-4", "chatgpt-")
"""Prefixes of models without reasoning; requesting reasoning from them would cost a refused request."""

_OPENAI_HOST = "api.openai.com"

_ARGUMENTS = (
    "system_instructions",
    "input",
    "model_settings",
    "tools",
    "output_schema",
    "handoffs",
    "tracing",
)
"""The arguments that the SDK passes by position to one method and by name to the other."""


class ModelAdapter:
    """Adapts the settings and the input of every model call; a mixin for a model of the Agents SDK."""

    def adapt_settings(self, settings: ModelSettings) -> ModelSettings:
        """Return the settings for a call.

        Args:
            settings: the agent's.
        """
        return settings

    def adapt_input(self, items: Any) -> Any:
        """Return the input for a call.

        Args:
            items: text, or the items of the conversation.
        """
        return items

    def stream_response(self, *positional: Any, **named: Any) -> AsyncIterator[TResponseStreamEvent]:
        """Stream a response; takes and returns what the SDK's own method does."""
        stream: AsyncIterator[TResponseStreamEvent] = super().stream_response(  # type: ignore[misc]  # of the SDK's class
            **self._adapt(positional, named)
        )
        fast_path = DELTA_FAST_PATH.get()
        return stream if fast_path is None else bypass_queue(stream, fast_path)

    async def get_response(self, *positional: Any, **named: Any) -> ModelResponse:
        """Return a whole response; takes and returns what the SDK's own method does."""
        response: ModelResponse = await super().get_response(  # type: ignore[misc]  # of the SDK's class
            **self._adapt(positional, named)
        )
        return response

    def _adapt(self, positional: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        arguments = {**dict(zip(_ARGUMENTS, positional, strict=False)), **named}
        return {
            **arguments,
            "model_settings": self.adapt_settings(arguments["model_settings"]),
            "input": self.adapt_input(arguments["input"]),
        }


class ResponsesModel(ModelAdapter, OpenAIResponsesModel):
    """A model over the Responses API. By default the provider stores nothing."""

    def adapt_settings(self, settings: ModelSettings) -> ModelSettings:
        """Disable storage at the provider, and request encrypted reasoning, which is replayed in later turns."""
        # docs/upstream.md: stored-at-openai
        include = list(settings.response_include or [])
        if not str(self.model).startswith(_WITHOUT_REASONING) and ENCRYPTED_REASONING not in include:
            include.append(ENCRYPTED_REASONING)
        store = False if settings.store is None else settings.store
        return dataclasses.replace(settings, store=store, response_include=include)


class ChatModel(ModelAdapter, OpenAIChatCompletionsModel):
    """A model over Chat Completions.

    Args:
        model: the endpoint's name for the model.
        openai_client: the endpoint's client.
        include_usage: whether to request token counts.
    """

    def __init__(self, model: str, openai_client: AsyncOpenAI, *, include_usage: bool = True) -> None:
        super().__init__(model=model, openai_client=openai_client)
        self._include_usage = include_usage or None
        # OpenAI stores completions unless `store=False`; other endpoints may refuse the parameter.
        self._store = False if str(openai_client.base_url.host).endswith(_OPENAI_HOST) else None

    def adapt_settings(self, settings: ModelSettings) -> ModelSettings:
        """Request token counts, and disable storage at OpenAI."""
        usage = self._include_usage if settings.include_usage is None else settings.include_usage
        store = self._store if settings.store is None else settings.store
        return dataclasses.replace(settings, store=store, include_usage=usage)
