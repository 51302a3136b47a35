"""Converts errors of the openai client and of the Agents SDK to `ModelFailure`s."""

from collections.abc import Mapping
from typing import Any

import openai
from agents.exceptions import MaxTurnsExceeded, ModelBehaviorError, ModelRefusalError

from chatrack.errors import Fault, ModelFailure
from chatrack.models.response_headers import request_id_in, retry_after_in

_FAULTS_BY_CODE: dict[str, Fault] = {
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
"""Faults by the `code`, `type` or `status` in the body of an error, in lower case."""

_FAULTS_BY_STATUS: dict[int, Fault] = {
    401: "authentication",
    402: "quota",
    403: "authentication",
    404: "unknown_model",
    408: "unavailable",
    409: "unavailable",
    413: "context_length_exceeded",
    429: "rate_limited",
}

_CONTEXT_LENGTH_PHRASES = (
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
"""Phrases for an input that is too long, of providers that have no code for it."""

_AUTHENTICATION_PHRASES = ("api key", "authorization header")
"""Phrases for a wrong key, of providers that have neither a status nor a code for it."""


def as_model_failure(error: BaseException) -> ModelFailure | None:
    """Convert an error to a `ModelFailure`.

    Args:
        error: the error.

    Returns:
        The failure, or None if the error is not a model's.
    """
    if isinstance(error, ModelFailure):
        return error
    if isinstance(error, openai.APIStatusError):
        body = _error_body(error.body)
        code = body.get("code") or body.get("status") or body.get("type") or error.code
        headers = error.response.headers
        return ModelFailure(
            fault_from_body(body, status=error.status_code, otherwise="rejected"),
            request_id=request_id_in(headers),
            status=error.status_code,
            code=None if code is None else str(code),
            retry_after=retry_after_in(headers, body),
        )
    if isinstance(error, openai.APIConnectionError):  # connection timeouts included
        return ModelFailure("unavailable", code=type(error.__cause__ or error).__name__)
    if isinstance(error, openai.APIError):
        return ModelFailure(
            fault_from_body(_error_body(error.body), otherwise="unavailable"), code=error.code
        )
    if isinstance(error, openai.OpenAIError):
        return ModelFailure("rejected", code=type(error).__name__)
    if isinstance(error, ModelRefusalError):
        return ModelFailure("refused")
    if isinstance(error, MaxTurnsExceeded):
        return ModelFailure("max_turns_exceeded")
    if isinstance(error, ModelBehaviorError):
        return ModelFailure("broken", code="behaviour")
    return None


def fault_from_body(body: Mapping[str, Any], *, otherwise: Fault, status: int | None = None) -> Fault:
    """Return the fault that the body of a provider's error describes.

    Args:
        body: the error's fields: `code`, `type`, `status`, `message`.
        otherwise: the fault if none of the fields is known.
        status: the HTTP status, if there was one.
    """
    message = str(body.get("message")).lower()
    asks_for_retry = "retry" in message or "try again" in message
    if status == 429 and "quota" in message and not asks_for_retry:
        return (
            "quota"  # before the code: Gemini has the same code for an exhausted quota and for a rate limit
        )
    for name in ("code", "status", "type"):
        fault = _FAULTS_BY_CODE.get(str(body.get(name)).lower())
        if fault is not None:
            return fault
    if status in {None, 400, 413, 422, 500} and any(phrase in message for phrase in _CONTEXT_LENGTH_PHRASES):
        return "context_length_exceeded"
    if status == 400 and any(phrase in message for phrase in _AUTHENTICATION_PHRASES):
        return "authentication"
    if status is None:
        code = body.get("code")
        status = code if isinstance(code, int) else None
    if status is None:
        return otherwise
    return "unavailable" if status >= 500 else _FAULTS_BY_STATUS.get(status, "rejected")


def _error_body(body: object) -> Mapping[str, Any]:
    # Gemini sends a list that holds the error; some providers leave out the `error` around the fields.
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    return body if isinstance(body, dict) else {"message": str(body)}
