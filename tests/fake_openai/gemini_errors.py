"""Gemini's error responses: the body is a list, and a wrong key is a bad request.

https://discuss.ai.google.dev/t/where-can-i-find-the-error-format-doc/115017
https://github.com/NVIDIA/NemoClaw/issues/2093 (no key)
https://github.com/continuedev/continue/issues/10290 (a wrong key)
https://github.com/google-gemini/gemini-cli/issues/12214 (too long an input)
https://github.com/google-gemini/gemini-cli/issues/27665 (429)
"""

from __future__ import annotations

from typing import Any

from tests.fake_openai.gemini_checks import UnknownFieldsError
from tests.fake_openai.refusal import RefusedError

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_body(refusal: RefusedError) -> list[dict[str, Any]]:
    """Return the JSON body of a refusal."""
    error = {
        "code": refusal.status,
        "message": refusal.message,
        "status": _STATUSES.get(refusal.status, "UNKNOWN"),
    }
    if isinstance(refusal, UnknownFieldsError):
        error["details"] = [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"description": text} for text in refusal.violations],
            }
        ]
    return [{"error": error}]


def missing_key() -> RefusedError:
    """Return the response to a request without a key."""
    return RefusedError("Missing or invalid Authorization header.")


def invalid_key(key: str) -> RefusedError:
    """Return the response to a wrong key."""
    return RefusedError("API key not valid. Please pass a valid API key.")


def too_long(tokens: int, window: int) -> RefusedError:
    """Return the response to an input that exceeds the context window."""
    return RefusedError(
        f"The input token count ({tokens}) exceeds the maximum number of tokens allowed ({window})."
    )
