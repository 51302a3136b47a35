"""Sends answers at the model's pace, and ends them as the model's name says."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from tests.fake_openai.model_name import Behaviour

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def read(receive: Receive) -> bytes:
    """Return the complete body of a request."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def watch(receive: Receive) -> None:
    """Return when the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _pause(watching: asyncio.Task[None], seconds: float) -> bool:
    """Wait for at least one step of the event loop; return True if the client disconnected meanwhile."""
    if seconds:
        await asyncio.wait({watching}, timeout=seconds)
    else:
        await asyncio.sleep(0)
    return watching.done()


async def _held(watching: asyncio.Task[None], release: asyncio.Event) -> bool:
    """Wait until the answer is released; True if the client went away meanwhile."""
    releasing = asyncio.create_task(release.wait())
    await asyncio.wait({watching, releasing}, return_when=asyncio.FIRST_COMPLETED)
    releasing.cancel()
    return watching.done()


def _headers(content_type: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", content_type), (b"x-request-id", b"req_" + secrets.token_hex(16).encode())]


async def send_json(send: Send, status: int, body: Any, extra: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Send a JSON response."""
    data = json.dumps(body, ensure_ascii=False).encode()
    headers = [*_headers(b"application/json"), (b"content-length", b"%d" % len(data)), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


def cut(scope: Scope) -> None:
    """Close the connection after the written bytes are sent, even in the middle of a response."""
    transport = scope.get("extensions", {}).get("transport", {}).get("transport")
    if transport is not None:
        transport.close()


def _reset(scope: Scope) -> None:
    """Close the connection with an RST instead of a FIN."""
    transport = scope.get("extensions", {}).get("transport", {}).get("transport")
    if transport is not None:
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()


async def _stop(behaviour: Behaviour, scope: Scope, watching: asyncio.Task[None]) -> bool:
    """Stop in the middle of an answer; return False if that means waiting until the client disconnects."""
    place = behaviour.stop_after
    if place == behaviour.silent_after:
        await asyncio.wait({watching})
        return False
    if place == behaviour.reset_after:
        # A reset discards the buffers: the client has to have read them by then.
        await asyncio.wait({watching}, timeout=0.05)
        _reset(scope)
    else:
        cut(scope)
    await asyncio.wait({watching}, timeout=60)  # the server complains of an answer unfinished before that
    return True


async def wait_whole(behaviour: Behaviour, size: int, scope: Scope, watching: asyncio.Task[None]) -> bool:
    """Pause as long as a streamed answer of `size` tokens would take.

    Returns False if the client disconnected. After a cut, nothing that is sent arrives.
    """
    writes = -(-size // behaviour.burst)
    if await _pause(watching, behaviour.first_pause + behaviour.pause * max(0, writes - 1)):
        return False
    if behaviour.stop_after is not None and behaviour.stop_after <= size:
        return await _stop(behaviour, scope, watching)
    return True


async def send_stream(
    frames: Iterable[tuple[bytes, bool]],
    behaviour: Behaviour,
    scope: Scope,
    send: Send,
    watching: asyncio.Task[None],
    release: asyncio.Event | None = None,
) -> bool:
    """Send frames, each with whether it is a token, at the model's pace; `release` ends ``-hN``.

    Returns False if the client disconnected before the end.
    """
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": _headers(b"text/event-stream; charset=utf-8"),
        }
    )
    stop_after, burst = behaviour.stop_after, behaviour.burst
    pending: list[bytes] = []
    tokens = 0
    for frame, is_token in frames:
        if tokens == stop_after and (tokens or is_token):
            await send({"type": "http.response.body", "body": b"".join(pending), "more_body": True})
            return await _stop(behaviour, scope, watching)
        if is_token:
            if tokens % burst == 0:
                if pending:
                    await send({"type": "http.response.body", "body": b"".join(pending), "more_body": True})
                    pending = []
                if release is not None and tokens == behaviour.hold_after and await _held(watching, release):
                    return False
                if await _pause(watching, behaviour.pause if tokens else behaviour.first_pause):
                    return False
            tokens += 1
        pending.append(frame)
    if watching.done():
        return False
    await send({"type": "http.response.body", "body": b"".join(pending)})
    return True
