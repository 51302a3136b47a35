"""`POST /chatkit/api`: every ChatKit request."""

import asyncio
import gzip
import re
from typing import Any

from chatkit.server import NonStreamingResult
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from chatrack.chat.server import ChatrackServer, TurnStream
from chatrack.errors import PayloadTooLarge, UnsupportedMediaType
from chatrack.http.auth_guard import DOMAIN_KEY, address_of
from chatrack.http.locale import locale_of
from chatrack.http.problems import request_id
from chatrack.http.sse import SSEResponse
from chatrack.interfaces import Access, RequestContext

_SMALL = 1024
"""Bytes below which a response is not compressed: it would not get much smaller."""

_LARGE = 65_536
"""Bytes above which a response is compressed in a thread: other requests would wait for it."""

_GZIP = re.compile(r"(?:^|,)\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[0-9.]+\s*)?(?:,|$)", re.IGNORECASE)
_TYPE = re.compile(rb'"type"\s*:\s*"([a-z_.]{1,64})"')


class _Gone(Exception):
    """The client disconnected while it sent the body."""


def api_route(server: ChatrackServer) -> HTTPRouteHandler:
    """Return the route handler.

    Args:
        server: answers the requests.
    """
    settings = server.assembly.config.server

    @post(settings.path, status_code=200, opt={DOMAIN_KEY: True})
    async def chatkit(request: Request[Any, Any, Any]) -> ASGIApp:
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != "application/json":
            raise UnsupportedMediaType("The body must be sent as application/json.")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("The body must not be compressed.")
        log_fields = request.scope["state"]["chatrack.log_fields"]
        try:
            body = await _read(request, settings.max_body)
        except _Gone:
            return _Json(b"", None)
        kind = _TYPE.search(body)
        if kind is not None:
            log_fields["type"] = kind.group(1).decode()
        access: Access = request.scope["auth"]
        context = RequestContext(
            user=access.user,
            request_id=request_id(request),
            locale=locale_of(access.user.locale, request.headers.get("accept-language")),
            address=address_of(request),
            agent=access.agent,
            state=access.state,
        )
        result = await server.process(body, context)
        if isinstance(result, NonStreamingResult):
            return _Json(result.json, request.headers.get("accept-encoding"))
        if isinstance(result, TurnStream):
            log_fields.update(thread=result.turn.thread_id, turn=result.turn.id)
        return SSEResponse(result.channel, settings.heartbeat)

    return chatkit


async def _read(request: Request[Any, Any, Any], limit: int) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise PayloadTooLarge(f"The body is larger than {limit} bytes.")
    body = bytearray()
    while True:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        body += message.get("body", b"")
        if len(body) > limit:
            raise PayloadTooLarge(f"The body is larger than {limit} bytes.")
        if not message.get("more_body", False):
            return bytes(body)


class _Json:
    """An ASGI response with encoded JSON. It is compressed if it is not small and the client accepts gzip."""

    def __init__(self, body: bytes, accepts: str | None) -> None:
        self.body = body
        self.compress = len(body) >= _SMALL and accepts is not None and _GZIP.search(accepts) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = self.body
        if self.compress and len(body) > _LARGE:
            body = await asyncio.to_thread(gzip.compress, body, 5)
        elif self.compress:
            body = gzip.compress(body, 5)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"vary", b"accept-encoding"),
        ]
        if self.compress:
            headers.append((b"content-encoding", b"gzip"))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
