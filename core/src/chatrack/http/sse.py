"""The response that subscribes to a turn. It owns nothing: whatever happens to it, the turn goes on."""

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
"""A reader that takes nothing for so many seconds is disconnected."""


class SSEResponse:
    """An ASGI response: events as they come, a comment when there are none for a while.

    Args:
        channel: where the events arrive; the first is there.
        heartbeat: seconds of silence after which a comment is sent.
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
            # One timer a stream, moved when it fires and not with every event.
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
                abort()  # an end that looks like one would hide that something is missing
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
