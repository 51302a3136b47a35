"""The outermost ASGI layer: a request id, security headers, and a log line for every request."""

import time
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from chatrack.ids import new_id

_log = structlog.get_logger(source="chatrack.access")

_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}
"""Added to every response that does not set them itself."""

QUIET = {"/health", "/ready"}
"""Paths that monitors request every few seconds. Successful requests are logged at level debug."""


class AccessLog:
    """An ASGI middleware that logs requests.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = new_id("request")
        log_fields: dict[str, Any] = {}
        state = scope.setdefault("state", {})
        state["chatrack.request_id"] = request_id
        state["chatrack.log_fields"] = log_fields
        # What a plugin mounts gets the rest of the path in its place.
        state["chatrack.path"] = path = scope["path"]
        status = 0

        async def wrapped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", []))
                present = {name for name, _ in headers}
                headers += [pair for pair in _HEADERS.items() if pair[0] not in present]
                headers.append((b"x-request-id", request_id.encode()))
                message["headers"] = headers
            await send(message)

        try:
            await self.app(scope, receive, wrapped)
        finally:
            quiet = status < 400 and path in QUIET
            # 503 means that the server is stopping or its database cannot be reached; both were logged already.
            failed = status >= 500 and status != 503
            log = _log.debug if quiet else _log.error if failed else _log.info
            log(
                "request",
                request_id=request_id,
                method=scope["method"],
                path=path,
                status=status or None,
                duration_ms=round((time.perf_counter() - started) * 1000, 1),
                **log_fields,
            )
