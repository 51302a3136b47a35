"""Endpoints that speak OpenAI's APIs, and the provider of their models."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from chatrack.errors import StartupError
from chatrack.interfaces import Model, ModelProvider, Transcriber
from chatrack.models.client import Client
from chatrack.models.limits import Limits
from chatrack.models.openai_models import ChatModel, ResponsesModel
from chatrack.settings import Secret, Settings

Api = Literal["responses", "chat_completions"]

_Seconds = Annotated[float, msgspec.Meta(gt=0)]


class EndpointSettings(Settings):
    """Settings of every endpoint; the settings of a provider plugin extend them.

    Args:
        api_key: the key.
        base_url: the address of the API, usually ending in `/v1`.
        default_model: the model that `<provider>` without a slash means.
        api: which of OpenAI's two APIs to use.
        headers: headers to send with every request.
        include_usage: whether to request token counts (Chat Completions); some endpoints refuse such requests.
        timeout: seconds until the end of an answer.
        first_token_timeout: seconds until the first token of text, reasoning or arguments, retries included.
        idle_timeout: seconds between two chunks of an answer.
        max_retries: how often a request is retried after 429, 5xx or a failed connection.
    """

    api_key: Secret | None = None
    base_url: str | None = None
    default_model: str | None = None
    api: Api = "chat_completions"
    headers: dict[str, Secret] = {}
    include_usage: bool = True
    timeout: _Seconds = 600.0
    first_token_timeout: _Seconds = 120.0
    idle_timeout: _Seconds = 60.0
    max_retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint and its settings.

    Args:
        key: the key of its settings in `config.toml`, for errors: `plugins.acme`.
        settings: its settings.
        base_url: its address if the settings have none.
        key_variable: the environment variable that may hold its API key, for errors.
        needs_key: whether it refuses requests without an API key.
        organization: the OpenAI organization to name in requests.
        project: the OpenAI project to name in requests.
    """

    key: str
    settings: EndpointSettings
    base_url: str | None = None
    key_variable: str | None = None
    needs_key: bool = True
    organization: str | None = None
    project: str | None = None


class EndpointProvider(ModelProvider, Transcriber):
    """Creates the models of one endpoint; they share one client and its connections.

    Args:
        endpoint: the endpoint.
        chat_model: the class of its models over Chat Completions; a subclass adapts calls to the endpoint.
    """

    def __init__(self, endpoint: Endpoint, *, chat_model: type[ChatModel] = ChatModel) -> None:
        self.endpoint = endpoint
        self._chat_model = chat_model
        self._client: Client | None = None

    def get_model(self, model_name: str | None) -> Model:
        """Create a model.

        Args:
            model_name: the endpoint's name for the model; None for the default model.

        Raises:
            StartupError: no API key or no default model is set.
        """
        settings = self.endpoint.settings
        name = model_name or settings.default_model
        if not name:
            raise StartupError(
                f"{self.endpoint.key}.default_model is not set; set it, or name a model after a slash"
            )
        client = self.client()
        if settings.api == "responses":
            return ResponsesModel(model=name, openai_client=client)
        return self._chat_model(model=name, openai_client=client, include_usage=settings.include_usage)

    async def transcribe(self, audio: bytes, *, mime_type: str, model_name: str | None) -> str:
        """Transcribe speech.

        Args:
            audio: the recording.
            mime_type: its type, such as `audio/webm`.
            model_name: the endpoint's name for the model.

        Raises:
            ModelFailure: the endpoint refused.
        """
        name = f"speech.{_EXTENSIONS.get(mime_type, mime_type.rpartition('/')[2])}"
        transcription = await self.client().audio.transcriptions.create(
            file=(name, audio, mime_type), model=model_name or self.endpoint.settings.default_model or ""
        )
        return transcription.text

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Close the connections on exit."""
        try:
            yield
        finally:
            if self._client is not None:
                await self._client.close()

    def client(self) -> Client:
        """Return the client of the endpoint, which is created on first use.

        Raises:
            StartupError: no API key is set, or the address is not a URL.
        """
        if self._client is None:
            self._client = self._create_client()
        return self._client

    def _create_client(self) -> Client:
        endpoint, settings = self.endpoint, self.endpoint.settings
        key = settings.api_key
        if not key and endpoint.needs_key:
            variable = (
                f", or the environment variable {endpoint.key_variable}" if endpoint.key_variable else ""
            )
            raise StartupError(f"{endpoint.key}.api_key is not set; set it{variable}")
        base_url = settings.base_url or endpoint.base_url or ""
        address = urlsplit(base_url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            # The value is not repeated: it may have a password.
            raise StartupError(f'{endpoint.key}.base_url: expected an address such as "https://host/v1"')
        client = Client(
            api_key=key.reveal() if key else "none",  # the client needs one even if the endpoint does not
            base_url=base_url,
        )
        # Given as None, the client reads these from variables that are meant for OpenAI.
        # docs/upstream.md: openai-variables
        client.organization, client.project = endpoint.organization, endpoint.project
        client._custom_headers = _reveal(settings.headers)  # noqa: SLF001  (no public name)
        client.limits = Limits(
            total=settings.timeout, first_token=settings.first_token_timeout, idle=settings.idle_timeout
        )
        client.retries = settings.max_retries
        return client


_EXTENSIONS = {"audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/x-m4a": "m4a", "audio/x-wav": "wav"}
"""File extensions of types whose second half is not one; endpoints recognize a recording by its file name."""


def _reveal(headers: Mapping[str, Secret]) -> dict[str, str]:
    return {name: value.reveal() for name, value in headers.items()}
