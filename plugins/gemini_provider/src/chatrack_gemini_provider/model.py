"""Gemini's models over Chat Completions, with requests adapted to what the endpoint accepts."""

import dataclasses
import re
from typing import Any

from chatrack import ModelSettings
from chatrack.models import ChatModel

NO_SIGNATURE = "skip_thought_signature_validator"
"""The signature for tool calls that Gemini did not make, from its documentation (ai.google.dev, "Thought signatures")."""

_UNSIGNED_MODELS = re.compile(r"gemini-?[12]\b")
"""Models without signatures. Later models, which aliases such as `gemini-flash-latest` may mean, require them."""


class GeminiModel(ChatModel):
    """A model of Gemini."""

    def adapt_settings(self, settings: ModelSettings) -> ModelSettings:
        """Leave out the parameters that the endpoint refuses."""
        return dataclasses.replace(
            super().adapt_settings(settings),
            store=None,
            metadata=None,
            frequency_penalty=None,
            presence_penalty=None,
            prompt_cache_retention=None,
            prompt_cache_options=None,
            verbosity=None,
        )

    def adapt_input(self, items: Any) -> Any:
        """Add a signature to the tool calls of other models."""
        if not isinstance(items, list) or _UNSIGNED_MODELS.search(str(self.model)):
            return items
        return [_signed(item) for item in items]


def _signed(item: Any) -> Any:
    if item.get("type") != "function_call":
        return item
    data = item.get("provider_data") or {}
    return {**item, "provider_data": {"thought_signature": NO_SIGNATURE, **data}}
