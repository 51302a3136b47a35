"""Errors as `application/problem+json`."""

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from chatrack.errors import (
    BadRequest,
    ChatrackError,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RequestError,
    TooManyRequests,
    Unauthenticated,
)
from chatrack.http.auth_guard import REASON, record

_log = structlog.get_logger(source="chatrack.http")

_OF_STATUS: Mapping[int, type[RequestError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
    429: TooManyRequests,
}
_QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
"""The type of problem that draft-ietf-httpapi-ratelimit-headers-11 defines, as it does the headers."""

_AUDITED = {401, 403}
_DETAILS = {
    404: "There is no such route.",
    405: "This route does not support this method.",
    413: "The body is larger than this server accepts.",
}


def request_id(request: Request[Any, Any, Any]) -> str:
    """Return the id of a request, which the access log has assigned."""
    return str(request.scope["state"].get("chatrack.request_id", ""))


def problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Return the response for an exception. One that is not a refusal is logged with its traceback.

    Args:
        request: the request that failed.
        error: the exception.
    """
    refusal = _refusal(error)
    if refusal is None:
        _log.error("request failed", request_id=request_id(request), exc_info=error)
        refusal = RequestError("Something went wrong on the server.")
    if refusal.status in _AUDITED:
        reason = request.scope["state"].get(REASON, refusal.detail)
        record("refused", request, user=request.scope.get("user"), status=refusal.status, reason=reason)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "request_id": request_id(request),
    }
    if refusal.field is not None:
        body["field"] = refusal.field
    headers: dict[str, str] = {"cache-control": "no-store"}
    if refusal.retry_after is not None:
        headers["retry-after"] = str(refusal.retry_after)
    if isinstance(refusal, TooManyRequests) and refusal.limit is not None:
        body["type"] = _QUOTA_EXCEEDED
        body["violated-policies"] = [refusal.limit]
        headers.update(_rate_limit_headers(refusal))
    if isinstance(error, HTTPException) and error.headers:
        headers.update({name.lower(): value for name, value in error.headers.items()})
    if refusal.status == 401:
        headers["www-authenticate"] = request.scope["state"].get("chatrack.challenge", "Bearer")
    return Response(
        msgspec.json.encode(body),
        status_code=refusal.status,
        media_type="application/problem+json",
        headers=headers,
    )


def _rate_limit_headers(refusal: TooManyRequests) -> dict[str, str]:
    """Return the limit that is reached, in the form of draft-ietf-httpapi-ratelimit-headers-11."""
    policy = f'"{refusal.limit}";q={refusal.quota}'
    if refusal.unit is not None:
        policy += f';qu="{refusal.unit}"'
    if refusal.window is not None:
        policy += f";w={refusal.window}"
    return {"ratelimit-policy": policy, "ratelimit": f'"{refusal.limit}";r=0;t={refusal.retry_after}'}


def _refusal(error: Exception) -> RequestError | None:
    if isinstance(error, RequestError):
        return error
    if isinstance(error, ChatrackError):
        return None
    if isinstance(error, HTTPException) and error.status_code < 500:
        cls = _OF_STATUS.get(error.status_code)
        detail = _DETAILS.get(error.status_code, error.detail)
        if cls is None:
            return BadRequest(detail)
        return cls(detail)
    return None
