"""Gemini over Chat Completions, with its oddities met."""

import dataclasses
import re
from typing import Any

from chatrack import ModelSettings
from chatrack.models import ChatModel

UNSIGNED = "skip_thought_signature_validator"
"""What stands for the signature of a call that Gemini did not make: its documentation names it for histories that
come from elsewhere (ai.google.dev, "Thought signatures")."""

_UNSIGNING = re.compile(r"gemini-?[12]\b")
"""Models that sign nothing; those after them, which aliases such as `gemini-flash-latest` may mean, want all signed."""


class GeminiModel(ChatModel):
    """One of Gemini's models."""

    def settings(self, given: ModelSettings) -> ModelSettings:
        """Leave out what the endpoint refuses."""
        return dataclasses.replace(
            super().settings(given),
            store=None,
            metadata=None,
            frequency_penalty=None,
            presence_penalty=None,
            prompt_cache_retention=None,
            prompt_cache_options=None,
            verbosity=None,
        )

    def input(self, given: Any) -> Any:
        """Sign the calls that the model did not make."""
        if not isinstance(given, list) or _UNSIGNING.search(str(self.model)):
            return given
        return [_signed(item) for item in given]


def _signed(item: Any) -> Any:
    if item.get("type") != "function_call":
        return item
    data = item.get("provider_data") or {}
    return {**item, "provider_data": {"thought_signature": UNSIGNED, **data}}
