"""What went wrong with a model, told from what its client and the Agents SDK raise."""

from collections.abc import Mapping
from typing import Any

import openai
from agents.exceptions import MaxTurnsExceeded, ModelBehaviorError, ModelRefusalError

from chatrack.errors import Fault, ModelFailure
from chatrack.models.response_headers import request_id_in, retry_after_in

_CODES: dict[str, Fault] = {
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_not_active": "quota",
    "rate_limit_exceeded": "rate_limited",
    "resource_exhausted": "rate_limited",
    "context_length_exceeded": "context_length_exceeded",
    "string_above_max_length": "context_length_exceeded",
    "content_filter": "filtered",
    "content_policy_violation": "filtered",
    "responsibleaipolicyviolation": "filtered",
    "invalid_api_key": "authentication",
    "invalid_prompt": "filtered",
    "model_not_found": "unknown_model",
    "server_error": "unavailable",
    "overloaded_error": "unavailable",
    "unavailable": "unavailable",
}
"""By the `code`, `type` or `status` of an error's body, in lower case."""

_STATUSES: dict[int, Fault] = {
    401: "authentication",
    402: "quota",
    403: "authentication",
    404: "unknown_model",
    408: "unavailable",
    409: "unavailable",
    413: "context_length_exceeded",
    429: "rate_limited",
}

_TOO_LONG = (
    "context length",
    "context window",
    "context size",
    "maximum context",
    "context_length",
    "too many tokens",
    "maximum number of tokens",
    "prompt is too long",
    "input is too long",
    "input token count",
)
"""What a provider says when it has no code of its own for an input that is too long."""

_KEY = ("api key", "authorization header")
"""What a provider says of a key for which it has neither a status nor a code."""


def failure_of(error: BaseException) -> ModelFailure | None:
    """Tell what went wrong with a model.

    Args:
        error: what was raised.

    Returns:
        The failure, or None if the error is about something else.
    """
    if isinstance(error, ModelFailure):
        return error
    if isinstance(error, openai.APIStatusError):
        body = _error_body(error.body)
        code = body.get("code") or body.get("status") or body.get("type") or error.code
        headers = error.response.headers
        return ModelFailure(
            fault_in(body, status=error.status_code, otherwise="rejected"),
            request_id=request_id_in(headers),
            status=error.status_code,
            code=None if code is None else str(code),
            retry_after=retry_after_in(headers, body),
        )
    if isinstance(error, openai.APIConnectionError):  # a timeout of connecting too
        return ModelFailure("unavailable", code=type(error.__cause__ or error).__name__)
    if isinstance(error, openai.APIError):
        return ModelFailure(fault_in(_error_body(error.body), otherwise="unavailable"), code=error.code)
    if isinstance(error, openai.OpenAIError):
        return ModelFailure("rejected", code=type(error).__name__)
    if isinstance(error, ModelRefusalError):
        return ModelFailure("refused")
    if isinstance(error, MaxTurnsExceeded):
        return ModelFailure("max_turns_exceeded")
    if isinstance(error, ModelBehaviorError):
        return ModelFailure("broken", code="behaviour")
    return None


def fault_in(body: Mapping[str, Any], *, otherwise: Fault, status: int | None = None) -> Fault:
    """Tell what went wrong from the body of a provider's error.

    Args:
        body: its fields: `code`, `type`, `status`, `message`.
        otherwise: what it is if nothing in it is known.
        status: the HTTP status, if there was one.
    """
    message = str(body.get("message")).lower()
    again = "retry" in message or "try again" in message
    if status == 429 and "quota" in message and not again:
        return "quota"  # first: Gemini's code for it says no more than that it is busy
    for name in ("code", "status", "type"):
        fault = _CODES.get(str(body.get(name)).lower())
        if fault is not None:
            return fault
    if status in {None, 400, 413, 422, 500} and any(words in message for words in _TOO_LONG):
        return "context_length_exceeded"
    if status == 400 and any(words in message for words in _KEY):
        return "authentication"
    if status is None:
        given = body.get("code")
        status = given if isinstance(given, int) else None
    if status is None:
        return otherwise
    return "unavailable" if status >= 500 else _STATUSES.get(status, "rejected")


def _error_body(body: object) -> Mapping[str, Any]:
    # Gemini sends a list with one error in it; others leave out the `error` around the fields.
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    return body if isinstance(body, dict) else {"message": str(body)}
