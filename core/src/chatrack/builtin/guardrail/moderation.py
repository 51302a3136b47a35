"""`moderation`: asks a model of an OpenAI-compatible moderation endpoint."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

import chatrack
from chatrack import GuardrailContext, InputGuardrail, OutputGuardrail, Secret, Trip
from chatrack.interfaces import TripStore, Verdict
from chatrack.models import Endpoint, EndpointProvider, EndpointSettings
from chatrack.settings import from_env

DEFAULT_MODEL = "omni-moderation-latest"
"""OpenAI's name for its newest moderation model."""

OPENAI_URL = "https://api.openai.com/v1"

INPUT_FLAGGED = "This message cannot be answered here. Please put it differently."
OUTPUT_FLAGGED = "This answer was withheld: a content check found it unsuitable."

_Score = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ModerationSettings(chatrack.Settings):
    """`[plugins.guardrails.moderation]`.

    Args:
        api_key: the key of the endpoint.
        base_url: its address, usually ending in `/v1`.
        model: its model.
        categories: the scores from which categories trip the guardrail, by category. If it is empty, whatever the endpoint
            flags does.
        applies_to: `input`, `output` or `both`.
        max_retries: how often a request is retried after 429, 5xx or a failed connection, within the time that a guardrail has.
    """

    api_key: Annotated[Secret | None, from_env("OPENAI_API_KEY")] = None
    base_url: str | None = None
    model: str = DEFAULT_MODEL
    categories: dict[str, _Score] = {}
    applies_to: Literal["input", "output", "both"] = "both"
    max_retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2


class _Moderation:
    def __init__(self, provider: EndpointProvider, settings: ModerationSettings, store: TripStore) -> None:
        self._provider = provider
        self._settings = settings
        self._store: TripStore = store

    def check_settings(self) -> None:
        """Raise unless there is a key."""
        self._provider.client()

    async def _moderate(self, text: str, message: str) -> Verdict:
        response = await self._provider.client().moderations.create(model=self._settings.model, input=text)
        for result in response.results:
            scores = result.category_scores.model_dump(by_alias=True)
            if self._is_flagged(scores) if self._settings.categories else result.flagged:
                return Trip(message, store=self._store)
        if not response.results:
            raise ValueError("the endpoint returned no result")
        return None

    def _is_flagged(self, scores: Mapping[str, float | None]) -> bool:
        # A category that the endpoint does not know fails: it must not pass everything.
        return any((scores[name] or 0.0) >= least for name, least in self._settings.categories.items())


class InputModeration(_Moderation, InputGuardrail):
    """Trips if the endpoint flags what a user sends.

    Args:
        provider: has the client of the endpoint.
        settings: the settings.
        store: what stays in the thread.
    """

    async def check_input(self, text: str, context: GuardrailContext) -> Verdict:
        """Trip if the endpoint flags the text."""
        return await self._moderate(text, INPUT_FLAGGED)


class OutputModeration(_Moderation, OutputGuardrail):
    """Trips if the endpoint flags an answer."""

    async def check_output(self, text: str, context: GuardrailContext) -> Verdict:
        """Trip if the endpoint flags the text."""
        return await self._moderate(text, OUTPUT_FLAGGED)


class Moderation(InputModeration, OutputModeration):
    """Both."""


def moderation_provider(settings: ModerationSettings, timeout: float) -> EndpointProvider:
    """Return what has the client of the moderation endpoint.

    Args:
        settings: its address and key.
        timeout: seconds that a request may take, retries included.
    """
    return EndpointProvider(
        Endpoint(
            key="plugins.guardrails.moderation",
            settings=EndpointSettings(
                api_key=settings.api_key,
                base_url=settings.base_url,
                timeout=timeout,
                max_retries=settings.max_retries,
            ),
            base_url=OPENAI_URL,
            key_variable="OPENAI_API_KEY",
            needs_key=settings.base_url is None,
        )
    )
