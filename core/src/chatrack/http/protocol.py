"""uvicorn's HTTP protocol, extended by bounds of what clients may send, and by a way to close a connection."""

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chatrack.config import ServerTable
from chatrack.http.problems import encode_problem
from chatrack.http.request_head import MAX_HEADERS, MAX_URL, Refused, bad_request, check_head
from chatrack.http.security_headers import security_headers
from chatrack.ids import new_id

ABORT = "chatrack.abort"
"""The key in `scope["state"]` of a function that closes the connection at once.

ASGI has no such function, and a client that does not read would keep its response waiting for ever.
"""

MAX_HEAD = 32_768
"""The greatest length of the head of a request, in bytes; also of what is in a chunked body beside the body."""

MAX_PIPELINED = 8
"""The number of requests that may wait for the response of an earlier one on their connection."""

_FRAMING = 8
"""Bytes of framing that come with each byte of a chunked body in which every byte is a chunk, rounded up."""

_MIN_RATE = 4096
"""Bytes of a body a second that a client has to send, once the time that every request has is over."""

_LINGER = 5.0
"""Seconds in which a client that still sends gets to read why it was refused.

Closing the connection while there is something to read would make the network drop the response.
"""

_STALLED = 60.0
"""Seconds after which a response that nobody reads is dropped."""

_log = structlog.get_logger(source="chatrack.http")


def protocol_of(settings: ServerTable, max_connections: int) -> "type[Protocol]":
    """Return the class of the connections of a server; uvicorn makes the instances.

    Args:
        settings: the bounds, and what the headers of responses depend on.
        max_connections: the number of connections; further ones are closed at once.
    """

    class Configured(Protocol):
        request_timeout = settings.request_timeout
        connection_limit = max_connections
        response_headers = b"".join(b"%s: %s\r\n" % header for header in security_headers(settings).items())

    return Configured


class Protocol(HttpToolsProtocol):
    """A connection. The scope of each request gets a function that closes it.

    A timer runs while a request is being received, and another while a client does not read; none for what is streamed.
    """

    request_timeout: float
    connection_limit: int
    response_headers: bytes

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = True
        self._overhead = 0  # bytes of this request that are not its body
        self._body = 0  # bytes of its body
        self._begun = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._refused = False
        self._responding: RequestResponseCycle | None = None  # `cycle` is the last request that was received

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        if len(self.connections) > self.connection_limit:
            _log.info("connection refused", address=self._address(), connections=len(self.connections))
            self._drop()
            return
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_stall_timer()
        self._abandon(self._responding)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # docs/upstream.md: unbounded-heads, lost-idle-timeouts
        if self._refused:
            return
        self._unset_keepalive_if_required()
        if self._timer is None and not self._is_responding():
            self._begin()
        while data and not self._refused:
            # The end of a head is not known before it is parsed.
            size = MAX_HEAD - self._overhead if self._in_head else len(data)
            if size <= 0:
                self._refuse(_HEAD_TOO_LONG)
                return
            self._overhead += min(size, len(data))
            self._parse(data[:size])
            data = data[size:]
            if self._overhead > 2 * MAX_HEAD:
                self._refuse(bad_request("There is too much in the body beside its content."))

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # docs/upstream.md: upgrade-bodies
            self._refused = True
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(
                cause if isinstance(cause, Refused) else bad_request("The request is not valid HTTP."),
                reason=str(cause or error),
            )

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL:
            raise Refused(HTTPStatus.REQUEST_URI_TOO_LONG, f"A URL has at most {MAX_URL} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            # docs/upstream.md: trailers-as-headers
            return
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            raise Refused(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"A request has at most {MAX_HEADERS} headers."
            )

    def on_headers_complete(self) -> None:
        upgrade = self.parser.should_upgrade()
        check_head(self.parser.get_http_version(), self.url, self.headers, upgrade=upgrade)
        if len(self.pipeline) >= MAX_PIPELINED:
            raise bad_request("Too many requests were sent without waiting for responses.")
        state: dict[str, Any] = self.scope["state"]
        state[ABORT] = self.transport.abort
        super().on_headers_complete()
        self._in_head = False
        if upgrade:
            self.cycle.keep_alive = False
        if not self.pipeline:
            self._responding = self.cycle

    def on_body(self, body: bytes) -> None:
        self._overhead -= (1 + _FRAMING) * len(body)
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stop_timer()
        self._in_head, self._overhead, self._body = True, 0, 0
        super().on_message_complete()
        if not self._is_responding():
            self._begin()  # it was answered before it was complete; what arrived then has stopped uvicorn's timer

    def on_response_complete(self) -> None:
        self._responding = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_reader()
        elif not self._in_head:
            self._stop_timer()
            if self._responding is None:
                # The body is still coming, although nobody reads it.
                self._timer = self.loop.call_later(_LINGER, self._drop)
            else:
                self._begin()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_reader()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_stall_timer()

    def _watch_reader(self) -> None:
        """Drop the connection if its client stops reading."""
        self._stop_stall_timer()
        unread = self.transport.get_write_buffer_size()
        if unread:
            self._stall_timer = self.loop.call_later(_STALLED, self._check_reader, unread)

    def _check_reader(self, unread: int) -> None:
        if self.transport.get_write_buffer_size() < unread:
            self._watch_reader()
        else:
            self._drop()

    def _begin(self) -> None:
        self._begun = self.loop.time()
        self._timer = self.loop.call_later(self.request_timeout, self._expired)

    def _expired(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._is_responding() and (self._in_head or self._responding is not self.cycle):
            return  # its time begins anew when the one before it is answered
        if self._in_head and not self._overhead:
            self.transport.close()  # nothing was sent at all
            return
        ends = self._begun + self.request_timeout + self._body / _MIN_RATE
        left = self.request_timeout if self.flow.read_paused else ends - self.loop.time()
        if not self._in_head and left > 0:
            self._timer = self.loop.call_later(left, self._expired)
            return
        self._refuse(Refused(HTTPStatus.REQUEST_TIMEOUT, "The request was not received in time."))

    def _refuse(self, refusal: Refused, *, reason: str | None = None) -> None:
        """Send an error, unless a response is being sent, and close the connection."""
        if self.transport.is_closing():
            return
        self._refused = True
        self._stop_timer()
        request_id = new_id("request")
        _log.info(
            "request refused",
            request_id=request_id,
            address=self._address(),
            status=int(refusal.status),
            reason=reason or refusal.detail,
        )
        responding = self._responding
        # The cycle of a request whose body is wrong has sent nothing yet.
        if self._is_responding() and (responding is not self.cycle or self._in_head or self._has_response()):
            self._drop()
            return
        self._abandon(responding)
        body = encode_problem(refusal.status, refusal.status.phrase, refusal.detail, request_id)
        lines = (
            b"HTTP/1.1 %d %s\r\n" % (refusal.status, refusal.status.phrase.encode()),
            *(b"%s: %s\r\n" % header for header in self.server_state.default_headers),
            self.response_headers,
            b"content-type: application/problem+json\r\ncontent-length: %d\r\n" % len(body),
            b"x-request-id: %s\r\nconnection: close\r\n\r\n" % request_id.encode(),
            body,
        )
        self.transport.write(b"".join(lines))
        self.transport.write_eof()
        self._timer = self.loop.call_later(_LINGER, self._drop)

    def _drop(self) -> None:
        self._refused = True
        self.transport.abort()

    def _is_responding(self) -> bool:
        return self._responding is not None and not self._responding.response_complete

    def _has_response(self) -> bool:
        return self._responding is not None and self._responding.response_started

    @staticmethod
    def _abandon(cycle: RequestResponseCycle | None) -> None:
        """Tell the application that its client has disconnected."""
        # docs/upstream.md: unnoticed-hang-ups
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _address(self) -> str | None:
        return self.client[0] if self.client else None


_HEAD_TOO_LONG = Refused(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The head of a request has at most {MAX_HEAD} bytes."
)
