"""Runs the fake API in the current event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.fake_openai.app import Upstream, create_app
from tests.fake_openai.state import State


@dataclass(frozen=True, slots=True)
class Serving:
    """A running fake API: `url` is the base URL for the `openai` client, ending in ``/v1``."""

    url: str
    app: Upstream

    @property
    def state(self) -> State:
        """The counters and the last requests."""
        return self.app.state


class _Protocol(HttpToolsProtocol):
    """Passes the transport to the app, because ASGI has no way to drop a connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"transport": {"transport": self.transport}}


class _Server(uvicorn.Server):
    """Stops at once, and does not install signal handlers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        # The base class polls, which costs each test a tenth of a second.
        await self.stop.wait()


def _listen(port: int) -> socket.socket:
    # asyncio disables Nagle's algorithm only on sockets whose protocol is TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(2048)
    return listener


@contextlib.asynccontextmanager
async def serve(port: int = 0, app: Upstream | None = None) -> AsyncIterator[Serving]:
    """Serve on 127.0.0.1 for the duration of the context; port 0 takes a free one.

    Answers still in progress at the end are dropped and counted as aborted.
    """
    app = app or create_app()
    listener = _listen(port)
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,  # would be stale: it is set by the main loop, which `_Server` replaces
        timeout_keep_alive=3600,  # a client must not find its idle connection closed
        timeout_graceful_shutdown=60,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if task.done():
                await task  # raises the error that prevented the start
                raise RuntimeError("the fake upstream did not start")
            await asyncio.sleep(0.001)
        yield Serving(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", app)
    finally:
        app.close()
        server.stop.set()
        await task
        listener.close()
