"""The ASGI app: routing, keys, pacing, and counting."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from types import ModuleType
from typing import Any

from bench.upstream import chat_api, responses_api
from bench.upstream.behaviour import Behaviour, decide, parse_model
from bench.upstream.refusal import RefusedError, invalid_key, missing_key, scripted, unknown_model
from bench.upstream.state import State

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_APIS: dict[str, ModuleType] = {"/v1/responses": responses_api, "/v1/chat/completions": chat_api}


class Upstream:
    """The fake upstream as an ASGI app; `state` holds its counters and the last requests."""

    def __init__(self) -> None:
        self.state = State()
        self._watches: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """End the answers under way, as if their clients had gone away."""
        for watch in self._watches:
            watch.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other scopes than HTTP are declined by returning at once."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        try:
            api = _APIS.get(path) if method == "POST" else None
            if api is not None:
                await self._answer(api, scope, receive, send)
            elif (method, path) == ("GET", "/__stats"):
                await _send_json(send, 200, self.state.stats())
            elif (method, path) == ("GET", "/__requests"):
                await _send_json(send, 200, list(self.state.log))
            elif (method, path) == ("POST", "/__reset"):
                self.state.reset()
                await _send_json(send, 200, {})
            else:
                raise RefusedError(f"Invalid URL ({method} {path})", status=404)
        except RefusedError as refusal:
            await _send_json(send, refusal.status, refusal.body, refusal.headers)

    async def _answer(self, api: ModuleType, scope: Scope, receive: Receive, send: Send) -> None:
        raw = await _read(receive)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        authorization = headers.pop("authorization", "")
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        self.state.record(scope["path"], headers, body)

        key = authorization.removeprefix("Bearer ").strip()
        if not authorization.startswith("Bearer ") or not key:
            raise missing_key()
        if key.endswith("wrong"):
            raise invalid_key(key)
        if type(body) is not dict:
            raise RefusedError(
                "We could not parse the JSON body of your request. The OpenAI API expects a JSON payload."
            )
        api.check(body)
        behaviour = parse_model(body["model"])
        if behaviour is None:
            raise unknown_model(body["model"])
        if behaviour.status is not None:
            raise scripted(behaviour.status, key, body["model"])

        turns, tools, instructions = api.read(body)
        answer = decide(turns, tools, instructions, behaviour.tokens)
        prompt_tokens = max(1, len(raw) // 4)
        watch = asyncio.create_task(_watch(receive))
        self._watches.add(watch)
        self.state.begin()
        complete = False
        try:
            if body.get("stream"):
                frames = api.frames(body, answer, behaviour.reasoning, prompt_tokens)
                complete = await _send_stream(frames, behaviour, scope, send, watch)
            else:
                complete = await _wait_whole(behaviour, answer.size, scope, watch)
                if complete:
                    await _send_json(send, 200, api.whole(body, answer, behaviour.reasoning, prompt_tokens))
        finally:
            self.state.end(aborted=not complete)
            self._watches.discard(watch)
            if not complete:
                _cut(scope)  # the client is gone, or the server is stopping
            watch.cancel()
            await asyncio.wait({watch})


def create_app() -> Upstream:
    """A new fake upstream with counters of its own."""
    return Upstream()


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _watch(receive: Receive) -> None:
    """End when the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _pause(watch: asyncio.Task[None], seconds: float) -> bool:
    """Wait, for at least one step of the event loop; True if the client went away meanwhile."""
    if seconds:
        await asyncio.wait({watch}, timeout=seconds)
    else:
        await asyncio.sleep(0)
    return watch.done()


def _cut(scope: Scope) -> None:
    """Close the connection once what was written is sent, whatever the answer's state."""
    transport = scope.get("extensions", {}).get("transport", {}).get("transport")
    if transport is not None:
        transport.close()


def _headers(content_type: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", content_type), (b"x-request-id", b"req_" + secrets.token_hex(16).encode())]


async def _send_json(send: Send, status: int, body: Any, extra: Iterable[tuple[bytes, bytes]] = ()) -> None:
    data = json.dumps(body, ensure_ascii=False).encode()
    headers = [*_headers(b"application/json"), (b"content-length", b"%d" % len(data)), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def _wait_whole(behaviour: Behaviour, size: int, scope: Scope, watch: asyncio.Task[None]) -> bool:
    """Pause as long as the streamed answer would take; False if the client went away."""
    writes = -(-size // behaviour.burst)
    if await _pause(watch, behaviour.first_pause + behaviour.pause * max(0, writes - 1)):
        return False
    if behaviour.cut_after is not None and behaviour.cut_after <= size:
        return await _cut_on_purpose(scope, watch)
    return True


async def _cut_on_purpose(scope: Scope, watch: asyncio.Task[None]) -> bool:
    _cut(scope)
    await asyncio.wait({watch}, timeout=1)  # the server complains of an answer unfinished before that
    return True


async def _send_stream(
    frames: Iterable[tuple[bytes, bool]],
    behaviour: Behaviour,
    scope: Scope,
    send: Send,
    watch: asyncio.Task[None],
) -> bool:
    """Send frames, each with whether it is a token, at the model's pace.

    Returns False if the client went away before the end.
    """
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": _headers(b"text/event-stream; charset=utf-8"),
        }
    )
    cut_after, burst = behaviour.cut_after, behaviour.burst
    pending: list[bytes] = []
    tokens = 0
    for frame, is_token in frames:
        if tokens == cut_after and (tokens or is_token):
            await send({"type": "http.response.body", "body": b"".join(pending), "more_body": True})
            return await _cut_on_purpose(scope, watch)
        if is_token:
            if tokens % burst == 0:
                if pending:
                    await send({"type": "http.response.body", "body": b"".join(pending), "more_body": True})
                    pending = []
                if await _pause(watch, behaviour.pause if tokens else behaviour.first_pause):
                    return False
            tokens += 1
        pending.append(frame)
    if watch.done():
        return False
    await send({"type": "http.response.body", "body": b"".join(pending)})
    return True
