"""`openai_provider`: OpenAI's models, over the Responses API or Chat Completions."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated

from chatrack import ModelProvider, Secret, hookimpl
from chatrack.models import Api, Endpoint, EndpointProvider, EndpointSettings
from chatrack.settings import from_env

DEFAULT_MODEL = "gpt-6-luna"
"""The small general model, which OpenAI names as the successor of gpt-4.1-mini."""


class OpenAIProviderPlugin:
    """Provides the models of one OpenAI account under the prefix `openai`."""

    api = 1

    class Settings(EndpointSettings):
        """`[plugins.openai_provider]`.

        Args:
            organization: the organization that requests are billed to.
            project: the project that requests are billed to.
        """

        api_key: Annotated[Secret | None, from_env("OPENAI_API_KEY")] = None
        base_url: Annotated[str | None, from_env("OPENAI_BASE_URL")] = None
        default_model: Annotated[str | None, from_env("OPENAI_DEFAULT_MODEL")] = DEFAULT_MODEL
        api: Api = "responses"
        organization: Annotated[str | None, from_env("OPENAI_ORG_ID")] = None
        project: Annotated[str | None, from_env("OPENAI_PROJECT_ID")] = None

    def __init__(self, settings: Settings) -> None:
        self.provider = EndpointProvider(
            Endpoint(
                key="plugins.openai_provider",
                settings=settings,
                base_url="https://api.openai.com/v1",
                key_variable="OPENAI_API_KEY",
                organization=settings.organization,
                project=settings.project,
            )
        )

    @hookimpl
    def model_providers(self) -> Mapping[str, ModelProvider]:
        """Return the provider, by its prefix."""
        return {"openai": self.provider}

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Close the connections on exit."""
        return self.provider.open()
