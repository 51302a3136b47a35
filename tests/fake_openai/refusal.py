"""OpenAI's error responses."""

from __future__ import annotations

from typing import Any

from tests.fake_openai.model_name import Behaviour

_STATUS_BODIES: dict[int, tuple[str, str, str | None, str | None]] = {
    400: (
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "invalid_request_error",
        "input",
        "context_length_exceeded",
    ),
    403: (
        "Country, region, or territory not supported",
        "request_forbidden",
        None,
        "unsupported_country_region_territory",
    ),
    409: ("The resource was modified by another request.", "invalid_request_error", None, None),
    422: ("The request could not be processed.", "invalid_request_error", None, None),
    429: (
        (
            "Rate limit reached for fake in organization org-fake on requests per min (RPM): "
            "Limit 3, Used 3, Requested 1. Please try again in 1s."
        ),
        "requests",
        None,
        "rate_limit_exceeded",
    ),
    500: (
        "The server had an error while processing your request. Sorry about that!",
        "server_error",
        None,
        None,
    ),
    503: (
        "The engine is currently overloaded, please try again later",
        "service_unavailable_error",
        None,
        "server_overloaded",
    ),
}


class RefusedError(Exception):
    """A request is refused.

    `status` is the HTTP status, `retry_after` the seconds in the header of that name (None: no header);
    the others are the fields of OpenAI's error object.
    """

    def __init__(
        self,
        message: str,
        param: str | None = None,
        code: str | None = None,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status
        self.kind = kind
        self.retry_after = retry_after

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The additional headers of the response."""
        return [] if self.retry_after is None else [(b"retry-after", b"%d" % self.retry_after)]


def error_body(refusal: RefusedError) -> dict[str, Any]:
    """Return the JSON body of a refusal."""
    return {
        "error": {
            "message": refusal.message,
            "type": refusal.kind,
            "param": refusal.param,
            "code": refusal.code,
        }
    }


def invalid_key(key: str) -> RefusedError:
    """Return the response to a wrong key, with the last four characters of the key."""
    masked = "*" * max(1, len(key) - 4) + key[-4:]
    return RefusedError(
        f"Incorrect API key provided: {masked}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
        status=401,
    )


def missing_key() -> RefusedError:
    """Return the response to a request without a key."""
    return RefusedError(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        "Bearer auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain an API key from "
        "https://platform.openai.com/account/api-keys.",
        status=401,
    )


def unknown_model(name: str) -> RefusedError:
    """Return the response to a request for a model that does not exist."""
    return RefusedError(
        f"The model `{name}` does not exist or you do not have access to it.",
        code="model_not_found",
        status=404,
    )


def too_long_input(tokens: int, window: int) -> RefusedError:
    """Return the response of the Responses API to an input that exceeds the context window."""
    message, _, param, code = _STATUS_BODIES[400]
    return RefusedError(message, param, code)


def too_long_messages(tokens: int, window: int) -> RefusedError:
    """Return the response of the Chat Completions API to messages that exceed the context window."""
    return RefusedError(
        f"This model's maximum context length is {window} tokens. However, your messages resulted in {tokens} "
        "tokens. Please reduce the length of the messages.",
        "messages",
        "context_length_exceeded",
    )


def scripted(behaviour: Behaviour, key: str, model: str) -> RefusedError:
    """Return the error that a model name with ``-eSTATUS`` or ``-quota`` asks for."""
    if behaviour.quota:
        # Without Retry-After: a retry does not help.
        return RefusedError(
            "You exceeded your current quota, please check your plan and billing details. For more "
            "information on this error, read the docs: "
            "https://platform.openai.com/docs/guides/error-codes/api-errors.",
            code="insufficient_quota",
            status=429,
            kind="insufficient_quota",
            retry_after=behaviour.retry_after,
        )
    status = behaviour.status or 500
    if status == 401:
        return invalid_key(key)
    if status == 404:
        return unknown_model(model)
    retry_after = behaviour.retry_after
    if status in (429, 503) and retry_after is None:
        retry_after = 1
    kind_of_rest = "server_error" if status >= 500 else "invalid_request_error"
    message, kind, param, code = _STATUS_BODIES.get(
        status, (f"The request failed with status {status}.", kind_of_rest, None, None)
    )
    return RefusedError(message, param, code, status=status, kind=kind, retry_after=retry_after)


def server_error() -> RefusedError:
    """Return the response when the model fails."""
    message, kind, param, code = _STATUS_BODIES[500]
    return RefusedError(message, param, code, status=500, kind=kind)
