"""The response that sends the events of a turn. The turn does not depend on it."""

import asyncio
import contextlib

from litestar.types import Receive, Scope, Send

from chatrack.chat.turns.channel import EventChannel
from chatrack.http.protocol import ABORT

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]

HEARTBEAT = b":\n\n"

STALLED = 60.0
"""Seconds after which a client that reads nothing is disconnected."""


class SSEResponse:
    """An ASGI response: server-sent events as they arrive, and comments while there are none.

    Args:
        channel: has the events; the first has arrived.
        heartbeat: seconds without an event after which a comment is sent.
    """

    def __init__(self, channel: EventChannel, heartbeat: float) -> None:
        self.channel = channel
        self.heartbeat = heartbeat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        channel = self.channel
        loop = asyncio.get_running_loop()
        abort = scope["state"].get(ABORT)
        if abort is not None:
            channel.on_overflow = abort
        last = loop.time()
        sending = False
        beat: asyncio.TimerHandle

        def silence() -> None:
            nonlocal beat
            quiet = loop.time() - last
            if sending and quiet >= STALLED and abort is not None:
                abort()
            if quiet >= self.heartbeat:
                channel.put_if_idle(HEARTBEAT)
                quiet = 0.0
            # One timer per stream. It is set again when it fires; setting it for every event would cost more.
            beat = loop.call_later(self.heartbeat - quiet, silence)

        beat = loop.call_later(self.heartbeat, silence)
        watcher = asyncio.create_task(self._watch(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            while (chunk := await channel.next()) is not None:
                last, sending = loop.time(), True
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                sending = False
            if channel.overflowed and abort is not None:
                abort()  # a regular end would hide that events are missing
            else:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            beat.cancel()
            channel.close()
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.channel.close()
