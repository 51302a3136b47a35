"""uvicorn's HTTP protocol, extended by a way to close a connection from the application."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

ABORT = "chatrack.abort"
"""The key in `scope["state"]` of a function that closes the connection at once.

ASGI has no such function, and a client that does not read would keep its response waiting for ever.
"""


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol. Each request's scope gets a function that closes the connection."""

    def on_headers_complete(self) -> None:
        state: dict[str, Any] = self.scope["state"]
        state[ABORT] = self.transport.abort
        super().on_headers_complete()
