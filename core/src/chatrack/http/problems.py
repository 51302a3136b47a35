"""Errors as `application/problem+json`."""

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Scope, Send

from chatrack.errors import (
    BadRequest,
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


def encode_problem(status: int, title: str, detail: str, request_id: str, **members: object) -> bytes:
    """Return the body of an `application/problem+json` response.

    Args:
        status: the status of the response.
        title: the name of the status.
        detail: what is wrong, in a sentence for the client.
        request_id: the id of the request.
        members: more members, such as the `field` of the request that is wrong; those that are None are left out.
    """
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": request_id,
        **members,
    }
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Return the response for an exception. One that is not a refusal is logged with its traceback.

    Args:
        request: the request that failed.
        error: the exception.
    """
    refusal = _refusal(error, request_id(request))
    if refusal.status in _AUDITED:
        reason = request.scope["state"].get(REASON, refusal.detail)
        record("refused", request, user=request.scope.get("user"), status=refusal.status, reason=reason)
    headers: dict[str, str] = {"cache-control": "no-store"}
    if refusal.retry_after is not None:
        headers["retry-after"] = str(refusal.retry_after)
    members: dict[str, Any] = {"field": refusal.field}
    if isinstance(refusal, TooManyRequests) and refusal.limit is not None:
        members |= {"type": _QUOTA_EXCEEDED, "violated-policies": [refusal.limit]}
        headers.update(_rate_limit_headers(refusal))
    if isinstance(error, HTTPException) and error.headers:
        headers.update({name.lower(): value for name, value in error.headers.items()})
    if refusal.status == 401:
        headers["www-authenticate"] = request.scope["state"].get("chatrack.challenge", "Bearer")
    return Response(
        encode_problem(refusal.status, refusal.title, refusal.detail, request_id(request), **members),
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


async def send_problem(scope: Scope, send: Send, error: Exception) -> None:
    """Send the response for an exception that did not come from a route.

    Args:
        scope: the request that failed.
        send: sends it.
        error: the exception.
    """
    request_id = str(scope["state"]["chatrack.request_id"])
    refusal = _refusal(error, request_id)
    body = encode_problem(refusal.status, refusal.title, refusal.detail, request_id, field=refusal.field)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _refusal(error: Exception, request_id: str) -> RequestError:
    """Return the refusal that an exception is. Any other exception is logged with its traceback."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, HTTPException) and error.status_code < 500:
        cls = _OF_STATUS.get(error.status_code, BadRequest)
        return cls(_DETAILS.get(error.status_code, error.detail))
    if isinstance(error, RecursionError) and _raised_in(error, "litestar.serialization"):
        return BadRequest("The body is nested too deeply.")  # that of a plugin's route
    _log.error("request failed", request_id=request_id, exc_info=error)
    return RequestError("Something went wrong on the server.")


def _raised_in(error: Exception, package: str) -> bool:
    """Return whether the function that raised an exception is in a package."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith(f"{package}.")
