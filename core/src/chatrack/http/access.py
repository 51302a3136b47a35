"""The outermost ASGI layer: a request id, security headers, and a log line for every request."""

import time
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from chatrack.config import ServerTable
from chatrack.http.client_address import ClientAddress
from chatrack.http.health import PATHS
from chatrack.http.problems import send_problem
from chatrack.http.security_headers import security_headers
from chatrack.ids import new_id

_log = structlog.get_logger(source="chatrack.access")


class AccessLog:
    """An ASGI middleware that logs requests, and answers those whose application fails.

    Args:
        app: the application.
        settings: has the trusted proxies, and what the headers depend on.
    """

    def __init__(self, app: ASGIApp, settings: ServerTable) -> None:
        self.app = app
        self._headers = security_headers(settings)
        self._client_address = ClientAddress(settings.trusted_proxies)

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
        address = self._client_address.of(scope)
        if address is not None and scope["client"] is not None and address != scope["client"][0]:
            scope["client"] = (address, 0)
        status = 0

        async def wrapped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", []))
                present = {name.lower() for name, _ in headers}
                headers += [pair for pair in self._headers.items() if pair[0] not in present]
                headers.append((b"x-request-id", request_id.encode()))
                message["headers"] = headers
            await send(message)

        try:
            await self.app(scope, receive, wrapped)
        except Exception as error:
            if status:
                raise  # the connection is closed; the client sees that something is missing
            await send_problem(scope, wrapped, error)
        finally:
            # Monitors request these paths every few seconds.
            quiet = status < 400 and path in PATHS
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
