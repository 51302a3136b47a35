"""`openai_provider`: OpenAI's models, over the Responses API or Chat Completions."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal

import openai
from agents import OpenAIChatCompletionsModel, OpenAIResponsesModel

import chatrack
from chatrack import Model, ModelProvider, Secret, StartupError, hookimpl
from chatrack.settings import from_env


class OpenAIProviderPlugin:
    """Provides the models of one OpenAI account under the prefix `openai`."""

    api = 1

    class Settings(chatrack.Settings):
        """`[plugins.openai_provider]`."""

        api_key: Annotated[Secret | None, from_env("OPENAI_API_KEY")] = None
        """The key; needed as soon as a model of this provider is used."""

        base_url: Annotated[str | None, from_env("OPENAI_BASE_URL")] = None
        """Another address of the same API."""

        default_model: Annotated[str, from_env("OPENAI_DEFAULT_MODEL")] = "gpt-4.1-mini"
        """The model of `openai` without a slash."""

        api: Literal["responses", "chat_completions"] = "responses"
        """Which of OpenAI's two APIs to speak."""

    def __init__(self, settings: Settings) -> None:
        self.provider = OpenAIProvider(settings)

    @hookimpl
    def model_providers(self) -> Mapping[str, ModelProvider]:
        """Give the provider."""
        return {"openai": self.provider}

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Close the connections in the end."""
        return self.provider.open()


class OpenAIProvider(ModelProvider):
    """Makes models that share one client, and with it its connections.

    Args:
        settings: the plugin's.
    """

    def __init__(self, settings: OpenAIProviderPlugin.Settings) -> None:
        self.settings = settings
        self._client: openai.AsyncOpenAI | None = None

    def get_model(self, model_name: str | None) -> Model:
        """Make a model.

        Args:
            model_name: the provider's name for it; the configured default if None.

        Raises:
            StartupError: there is no key.
        """
        name = model_name or self.settings.default_model
        client = self._connected()
        if self.settings.api == "responses":
            return OpenAIResponsesModel(model=name, openai_client=client)
        return OpenAIChatCompletionsModel(model=name, openai_client=client)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Close the client in the end."""
        try:
            yield
        finally:
            if self._client is not None:
                await self._client.close()

    def _connected(self) -> openai.AsyncOpenAI:
        key = self.settings.api_key
        if not key:
            raise StartupError(
                "plugins.openai_provider.api_key is not set; set it, or the environment variable OPENAI_API_KEY"
            )
        if self._client is None:
            self._client = openai.AsyncOpenAI(api_key=key.reveal(), base_url=self.settings.base_url)
        return self._client
