"""The endpoints of the fake, and their differences."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from tests.fake_openai import (
    audio_api,
    chat_api,
    chat_checks,
    gemini_checks,
    gemini_errors,
    moderations_api,
    refusal,
    responses_api,
    responses_checks,
)
from tests.fake_openai.behaviour import Answer, Turn
from tests.fake_openai.model_name import Behaviour
from tests.fake_openai.refusal import RefusedError

Body = dict[str, Any]


class Stream(Protocol):
    """A streamed answer."""

    def frames(self) -> Iterator[tuple[bytes, bool]]:
        """Return the encoded events, each with a flag for tokens of the answer."""

    def malformed(self) -> bytes:
        """Return an event with malformed JSON."""

    def failure(self) -> bytes:
        """Return the event that reports that the provider failed."""


def _json(raw: bytes, content_type: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path: how its requests are parsed, refused and answered.

    `parse` converts the request's bytes and content type to a body, `check` refuses it, and `read` returns
    the conversation, the offered functions and the instructions.
    """

    check: Callable[[Body], None]
    read: Callable[[Body], tuple[list[Turn], dict[str, Any], str]]
    whole: Callable[[Body, Answer, Behaviour, int], Body]
    stream: Callable[[Body, Answer, Behaviour, int], Stream] | None = None
    parse: Callable[[bytes, str], Any] = _json
    is_gemini: bool = False
    too_long: Callable[[int, int], RefusedError] = refusal.too_long_input
    missing_key: Callable[[], RefusedError] = refusal.missing_key
    invalid_key: Callable[[str], RefusedError] = refusal.invalid_key
    error_body: Callable[[RefusedError], Any] = refusal.error_body


_CHAT = Endpoint(
    chat_checks.check,
    chat_api.read,
    chat_api.whole,
    chat_api.Stream,
    too_long=refusal.too_long_messages,
)
ENDPOINTS = {
    "/v1/responses": Endpoint(
        responses_checks.check, responses_api.read, responses_api.whole, responses_api.Stream
    ),
    "/v1/chat/completions": _CHAT,
    "/v1beta/openai/chat/completions": replace(
        _CHAT,
        check=gemini_checks.check,
        is_gemini=True,
        too_long=gemini_errors.too_long,
        missing_key=gemini_errors.missing_key,
        invalid_key=gemini_errors.invalid_key,
        error_body=gemini_errors.error_body,
    ),
    "/v1/audio/transcriptions": Endpoint(
        audio_api.check, audio_api.read, audio_api.whole, parse=audio_api.parse
    ),
    "/v1/moderations": Endpoint(moderations_api.check, moderations_api.read, moderations_api.whole),
}
