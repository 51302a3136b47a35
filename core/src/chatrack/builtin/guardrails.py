"""`guardrails`: bounds, patterns, secrets and moderation, for the agents that name them."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal

import msgspec

import chatrack
from chatrack import InputGuardrail, OutputGuardrail, hookimpl
from chatrack.builtin.guardrail.length import MaxInputChars
from chatrack.builtin.guardrail.moderation import (
    InputModeration,
    Moderation,
    ModerationSettings,
    OutputModeration,
    moderation_provider,
)
from chatrack.builtin.guardrail.patterns import Blocked, BlockedInput, BlockedOutput, compile_pattern
from chatrack.builtin.guardrail.secrets import Secrets


class GuardrailsPlugin:
    """Provides the guardrails `max_input_chars`, `blocked_patterns`, `secrets` and `moderation`."""

    api = 1

    class Settings(chatrack.Settings):
        """`[plugins.guardrails]`.

        Args:
            max_input_chars: the most characters of a message, its quoted text and tags included.
            blocked_patterns: regular expressions in the syntax of RE2; what matches one trips the guardrail.
            blocked_patterns_apply_to: `input`, `output` or `both`.
            moderation: the moderation endpoint.
            timeout: seconds that one check may take.
            trip_stores: what a tripped guardrail leaves in the thread: `nothing`, or its message as the `refusal`.
        """

        max_input_chars: Annotated[int, msgspec.Meta(ge=1)] | None = None
        blocked_patterns: list[str] = []
        blocked_patterns_apply_to: Literal["input", "output", "both"] = "both"
        moderation: ModerationSettings = msgspec.field(default_factory=ModerationSettings)
        timeout: Annotated[float, msgspec.Meta(gt=0, le=600)] = 10.0
        trip_stores: Literal["nothing", "refusal"] = "nothing"

        def __post_init__(self) -> None:
            for pattern in self.blocked_patterns:
                try:
                    compile_pattern(pattern)
                except ValueError as error:
                    raise ValueError(f"blocked_patterns: {pattern!r}: {error}") from None

    def __init__(self, settings: Settings) -> None:
        moderation = settings.moderation
        store = settings.trip_stores
        blocked: dict[str, type[BlockedInput | BlockedOutput]]
        blocked = {"input": BlockedInput, "output": BlockedOutput, "both": Blocked}
        moderating: dict[str, type[InputModeration | OutputModeration]]
        moderating = {"input": InputModeration, "output": OutputModeration, "both": Moderation}
        self.provider = moderation_provider(moderation, settings.timeout)
        self._guardrails: dict[str, InputGuardrail | OutputGuardrail] = {
            "max_input_chars": MaxInputChars(settings.max_input_chars, store),
            "blocked_patterns": blocked[settings.blocked_patterns_apply_to](settings.blocked_patterns, store),
            "secrets": Secrets(),
            "moderation": moderating[moderation.applies_to](self.provider, moderation, store),
        }
        for guardrail in self._guardrails.values():
            guardrail.timeout = settings.timeout

    @hookimpl
    def guardrails(self) -> Mapping[str, InputGuardrail | OutputGuardrail]:
        """Return the guardrails."""
        return self._guardrails

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Close the connections to the moderation endpoint on exit."""
        return self.provider.open()
