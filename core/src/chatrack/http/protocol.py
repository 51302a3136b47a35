"""The one place that reaches into uvicorn's HTTP protocol: an application cannot hang up otherwise."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

ABORT = "chatrack.abort"
"""The key in `scope["state"]` of a function that drops the connection at once.

ASGI has no way to do so, and a reader that does not read would keep its response waiting for ever.
"""


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with a way to drop the connection."""

    def on_headers_complete(self) -> None:
        state: dict[str, Any] = self.scope["state"]
        state[ABORT] = self.transport.abort
        super().on_headers_complete()
