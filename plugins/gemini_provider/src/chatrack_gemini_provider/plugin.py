"""`gemini_provider`: Google's models, over their endpoint for OpenAI's Chat Completions."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal

from chatrack import ModelProvider, Secret, hookimpl
from chatrack.models import Endpoint, EndpointProvider, EndpointSettings
from chatrack.settings import from_env
from chatrack_gemini_provider.model import GeminiModel

BASE_URL = "https://generativelanguage.googleapis.com/v1beta/openai/"

DEFAULT_MODEL = "gemini-3.5-flash-lite"
"""The small general model, which Google names as the successor of gemini-2.5-flash."""


class GeminiProviderPlugin:
    """Provides Gemini's models under the prefix `gemini`."""

    api = 1

    class Settings(EndpointSettings):
        """`[plugins.gemini_provider]`; the endpoint has only one of the two APIs."""

        api_key: Annotated[Secret | None, from_env("GEMINI_API_KEY")] = None
        default_model: Annotated[str | None, from_env("GEMINI_DEFAULT_MODEL")] = DEFAULT_MODEL
        api: Literal["chat_completions"] = "chat_completions"

    def __init__(self, settings: Settings) -> None:
        self.provider = EndpointProvider(
            Endpoint(
                key="plugins.gemini_provider",
                settings=settings,
                base_url=BASE_URL,
                key_variable="GEMINI_API_KEY",
            ),
            chat_model=GeminiModel,
        )

    @hookimpl
    def model_providers(self) -> Mapping[str, ModelProvider]:
        """Return the provider, by its prefix."""
        return {"gemini": self.provider}

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Close the connections on exit."""
        return self.provider.open()
