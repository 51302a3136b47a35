"""`GET /health` (alive) and `GET /ready` (able to serve)."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

import chatrack
from chatrack.chat.server import ChatrackServer
from chatrack.errors import RequestError
from chatrack.http.auth_guard import PUBLIC, UNLIMITED

PATHS = {"/health", "/ready"}
"""The paths."""

_TIMEOUT = 2.0
"""Seconds that a store has to answer."""


def health_routes(server: ChatrackServer) -> list[HTTPRouteHandler]:
    """Return the two route handlers. Their answers never contain the text of an error, which may hold a secret.

    Args:
        server: the server whose state is reported.
    """

    @get("/health", opt={PUBLIC: True, UNLIMITED: True})
    async def health() -> ASGIResponse:
        return _answer(200, {"status": "ok"})

    @get("/ready", opt={PUBLIC: True, UNLIMITED: True})
    async def ready() -> ASGIResponse:
        states = {"store": await _state(server.store.health())}
        file_store = server.assembly.file_store
        if file_store is not None:
            states["files"] = await _state(file_store.value.health())
        draining = server.turns.draining
        able = set(states.values()) == {"ok"} and not draining
        status = "ready" if able else "draining" if draining else "unavailable"
        return _answer(200 if able else 503, {"status": status, **states, "turns": len(server.turns)})

    return [health, ready]


async def _state(health: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(_TIMEOUT):
            await health
    except (RequestError, TimeoutError):
        return "unreachable"
    return "ok"


def _answer(status: int, fields: dict[str, Any]) -> ASGIResponse:
    body = {"name": "chatrack", "version": chatrack.__version__, **fields}
    headers = {"cache-control": "no-store"}
    if status == 503:
        headers["retry-after"] = "5"
    return ASGIResponse(
        body=msgspec.json.encode(body), status_code=status, media_type="application/json", headers=headers
    )
