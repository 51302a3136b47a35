"""An endpoint that speaks OpenAI's APIs, and the provider of its models."""

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
    """What every endpoint can be told; plugins' settings extend it.

    Args:
        api_key: the key.
        base_url: the address of the API, as a rule ending in `/v1`.
        default_model: the model of `<provider>` without a slash.
        api: which of OpenAI's two APIs to speak.
        headers: headers to send with every request.
        include_usage: whether to ask for the count of tokens (Chat Completions); some endpoints refuse the question.
        timeout: seconds that a whole answer may take.
        first_token_timeout: seconds until the model begins to answer, retries included.
        idle_timeout: seconds of silence in the middle of an answer.
        max_retries: how often a request is sent again that was refused for the moment (429, 5xx) or never arrived.
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
    """One endpoint.

    Args:
        key: the table of its settings, for errors: `plugins.acme`.
        settings: what it was told.
        base_url: its address, if the settings do not say.
        key_variable: the environment variable that may hold its key, for errors.
        needs_key: whether it answers nobody without a key.
        organization: OpenAI's organization, if it is to be named.
        project: OpenAI's project, if it is to be named.
    """

    key: str
    settings: EndpointSettings
    base_url: str | None = None
    key_variable: str | None = None
    needs_key: bool = True
    organization: str | None = None
    project: str | None = None


class EndpointProvider(ModelProvider, Transcriber):
    """Makes the models of one endpoint; they share one client, and with it its connections.

    Args:
        endpoint: the endpoint.
        chat_model: the class of its models over Chat Completions, for endpoints with oddities of their own.
    """

    def __init__(self, endpoint: Endpoint, *, chat_model: type[ChatModel] = ChatModel) -> None:
        self.endpoint = endpoint
        self._chat_model = chat_model
        self._client: Client | None = None

    def get_model(self, model_name: str | None) -> Model:
        """Make a model.

        Args:
            model_name: the endpoint's name for it; the configured default if None.

        Raises:
            StartupError: there is no key, or no default.
        """
        settings = self.endpoint.settings
        name = model_name or settings.default_model
        if not name:
            raise StartupError(
                f"{self.endpoint.key}.default_model is not set; set it, or name a model after a slash"
            )
        client = self.connected()
        if settings.api == "responses":
            return ResponsesModel(model=name, openai_client=client)
        return self._chat_model(model=name, openai_client=client, include_usage=settings.include_usage)

    async def transcribe(self, audio: bytes, *, mime_type: str, model_name: str | None) -> str:
        """Turn speech into text.

        Args:
            audio: the recording.
            mime_type: its type, such as `audio/webm`.
            model_name: the endpoint's name for the model.

        Raises:
            ModelFailure: the endpoint refused.
        """
        name = f"speech.{_EXTENSIONS.get(mime_type, mime_type.rpartition('/')[2])}"
        answer = await self.connected().audio.transcriptions.create(
            file=(name, audio, mime_type), model=model_name or self.endpoint.settings.default_model or ""
        )
        return answer.text

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Close the connections in the end."""
        try:
            yield
        finally:
            if self._client is not None:
                await self._client.close()

    def connected(self) -> Client:
        """Give the client.

        Raises:
            StartupError: there is no key.
        """
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> Client:
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
            raise StartupError(
                f'{endpoint.key}.base_url: "{base_url}" is not an address such as "https://host/v1"'
            )
        client = Client(
            api_key=key.reveal() if key else "none",  # where no key is asked for, any will do
            base_url=base_url,
        )
        # The client would take these from variables meant for OpenAI, and give them to whomever it talks to.
        client.organization, client.project = endpoint.organization, endpoint.project
        client._custom_headers = _revealed(settings.headers)  # noqa: SLF001  (there is no other way)
        client.limits = Limits(
            total=settings.timeout, first_token=settings.first_token_timeout, idle=settings.idle_timeout
        )
        client.retries = settings.max_retries
        return client


_EXTENSIONS = {"audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/x-m4a": "m4a", "audio/x-wav": "wav"}
"""Endpoints go by the name of the file; elsewhere the second half of the type is what files are called."""


def _revealed(headers: Mapping[str, Secret]) -> dict[str, str]:
    return {name: value.reveal() for name, value in headers.items()}
