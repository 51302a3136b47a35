"""The ASGI app: routing, keys, refusals and counters."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from tests.fake_openai import signatures
from tests.fake_openai.behaviour import decide
from tests.fake_openai.endpoint import ENDPOINTS, Endpoint
from tests.fake_openai.faults import garbled, splitting
from tests.fake_openai.model_name import Behaviour, parse_model
from tests.fake_openai.refusal import RefusedError, error_body, scripted, server_error, unknown_model
from tests.fake_openai.state import State
from tests.fake_openai.transport import (
    Receive,
    Scope,
    Send,
    cut,
    read,
    send_json,
    send_stream,
    wait_whole,
    watch,
)


class Upstream:
    """The fake API as an ASGI app; `state` holds its counters and the last requests."""

    def __init__(self) -> None:
        self.state = State()
        self._watches: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """End the answers in progress, as if their clients had disconnected."""
        for watching in self._watches:
            watching.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; scopes other than HTTP are ignored."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        endpoint = ENDPOINTS.get(path) if method == "POST" else None
        try:
            if endpoint is not None:
                await self._answer(endpoint, scope, receive, send)
            elif (method, path) == ("GET", "/__stats"):
                await send_json(send, 200, self.state.stats())
            elif (method, path) == ("GET", "/__requests"):
                await send_json(send, 200, list(self.state.log))
            elif (method, path) == ("POST", "/__reset"):
                self.state.reset()
                await send_json(send, 200, {})
            elif (method, path) == ("POST", "/__release"):
                self.state.release((await read(receive)).decode())
                await send_json(send, 200, {})
            else:
                raise RefusedError(f"Invalid URL ({method} {path})", status=404)
        except RefusedError as refusal:
            body = endpoint.error_body(refusal) if endpoint else error_body(refusal)
            await send_json(send, refusal.status, body, refusal.headers)

    async def _answer(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        raw = await read(receive)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        authorization = headers.pop("authorization", "")
        body = endpoint.parse(raw, headers.get("content-type", ""))
        self.state.record(scope["path"], headers, body)
        behaviour = self._admit(endpoint, authorization, body, len(raw))

        answer = decide(*endpoint.read(body), behaviour)
        if behaviour.signed:
            self.state.signatures.update({call.call_id: call.signature for call in answer.calls})
        prompt_tokens = max(1, len(raw) // 4)
        watching = asyncio.create_task(watch(receive))
        self._watches.add(watching)
        self.state.begin()
        complete = False
        try:
            if endpoint.stream is not None and body.get("stream"):
                stream = endpoint.stream(body, answer, behaviour, prompt_tokens)
                frames = garbled(stream, behaviour) if behaviour.garbled else stream.frames()
                if behaviour.split:
                    send = splitting(send)
                release = self.state.hold(raw.decode()) if behaviour.hold_after is not None else None
                complete = await send_stream(frames, behaviour, scope, send, watching, release)
            else:
                complete = await wait_whole(behaviour, answer.size, scope, watching)
                if complete and behaviour.failed_after is not None and behaviour.failed_after <= answer.size:
                    raise server_error()
                if complete:
                    await send_json(send, 200, endpoint.whole(body, answer, behaviour, prompt_tokens))
        finally:
            self.state.end(aborted=not complete)
            self._watches.discard(watching)
            if not complete:
                cut(scope)  # the client has disconnected, or the server is stopping
            watching.cancel()
            await asyncio.wait({watching})

    def _admit(self, endpoint: Endpoint, authorization: str, body: Any, size: int) -> Behaviour:
        """Refuse a request, or return its model's behaviour; `size` is the body's, in bytes."""
        key = authorization.removeprefix("Bearer ").strip()
        if not authorization.startswith("Bearer ") or not key:
            raise endpoint.missing_key()
        if key.endswith("wrong"):
            raise endpoint.invalid_key(key)
        if type(body) is not dict:
            raise RefusedError(
                "We could not parse the JSON body of your request. The OpenAI API expects a JSON payload."
            )
        endpoint.check(body)
        model = body["model"]
        behaviour = parse_model(model)
        if behaviour is None:
            raise unknown_model(model)
        if behaviour.times is not None and not self.state.fails(model, behaviour.times):
            behaviour = behaviour.mended()
        if behaviour.scripted:
            raise scripted(behaviour, key, model)
        if behaviour.without_thoughts and "reasoning.encrypted_content" in (body.get("include") or []):
            raise RefusedError("Encrypted content is not supported with this model.", "include")
        if behaviour.window is not None and size > 4 * behaviour.window:
            raise endpoint.too_long(-(-size // 4), behaviour.window)
        if endpoint.is_gemini and "gemini3" in model:
            behaviour = replace(behaviour, signed=True)
        if behaviour.signed and "messages" in body:
            signatures.check(body, self.state.signatures)
        return behaviour


def create_app() -> Upstream:
    """Create a fake API with its own counters."""
    return Upstream()
