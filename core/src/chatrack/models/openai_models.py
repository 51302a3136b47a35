"""Models over OpenAI's two APIs: the Agents SDK's, asked for what a server of its own history needs."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

from agents import ModelResponse, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel
from agents.items import TResponseStreamEvent
from openai import AsyncOpenAI

from chatrack.models.delta_fast_path import DELTA_FAST_PATH, bypass_queue

_PLAIN = ("gpt-3.5", "gpt-4", "chatgpt-")
"""Models without reasoning, by the beginning of their names: asking them for it would cost a request."""

_OPENAI = "api.openai.com"


_ARGUMENTS = (
    "system_instructions",
    "input",
    "model_settings",
    "tools",
    "output_schema",
    "handoffs",
    "tracing",
)
"""Those that the SDK gives by their place in one method and by name in another."""


class ModelAdapter:
    """Adapts every call of a model to its endpoint; the SDK's own class beside it does the calling."""

    def settings(self, given: ModelSettings) -> ModelSettings:
        """Give the settings of a call as the model wants them.

        Args:
            given: the agent's.
        """
        return given

    def input(self, given: Any) -> Any:
        """Give the input of a call as the model wants it.

        Args:
            given: text, or the items of the conversation.
        """
        return given

    def stream_response(self, *given: Any, **named: Any) -> AsyncIterator[TResponseStreamEvent]:
        """Stream an answer; arguments and result are the SDK's."""
        stream: AsyncIterator[TResponseStreamEvent] = super().stream_response(**self._asked(given, named))  # type: ignore[misc]  # of the class beside this one
        shortcut = DELTA_FAST_PATH.get()
        return stream if shortcut is None else bypass_queue(stream, shortcut)

    async def get_response(self, *given: Any, **named: Any) -> ModelResponse:
        """Give an answer in one piece; arguments and result are the SDK's."""
        response: ModelResponse = await super().get_response(**self._asked(given, named))  # type: ignore[misc]  # as above
        return response

    def _asked(self, given: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        asked = {**dict(zip(_ARGUMENTS, given, strict=False)), **named}
        settings, items = self.settings(asked["model_settings"]), self.input(asked["input"])
        return {**asked, "model_settings": settings, "input": items}


class ResponsesModel(ModelAdapter, OpenAIResponsesModel):
    """A model over the Responses API that leaves nothing with the provider."""

    def settings(self, given: ModelSettings) -> ModelSettings:
        """Keep nothing there, and take the reasoning along."""
        include = list(given.response_include or [])
        if not str(self.model).startswith(_PLAIN) and "reasoning.encrypted_content" not in include:
            include.append("reasoning.encrypted_content")
        store = False if given.store is None else given.store
        return dataclasses.replace(given, store=store, response_include=include)


class ChatModel(ModelAdapter, OpenAIChatCompletionsModel):
    """A model over Chat Completions.

    Args:
        model: the endpoint's name for it.
        openai_client: the endpoint's client.
        include_usage: whether to ask for the count of tokens.
    """

    def __init__(self, model: str, openai_client: AsyncOpenAI, *, include_usage: bool = True) -> None:
        super().__init__(model=model, openai_client=openai_client)
        self._include_usage = include_usage or None
        # OpenAI keeps what it is not told to forget; others do not know the word.
        self._store = False if str(openai_client.base_url.host).endswith(_OPENAI) else None

    def settings(self, given: ModelSettings) -> ModelSettings:
        """Ask for the count of tokens, and keep nothing there."""
        usage = self._include_usage if given.include_usage is None else given.include_usage
        store = self._store if given.store is None else given.store
        return dataclasses.replace(given, store=store, include_usage=usage)
