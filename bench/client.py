"""The load generator: HTTP/1.1 over raw asyncio transports, with requests encoded in advance.

It connects to 127.0.0.1 only, and every load is bounded both in requests and in time.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, cast

DELTA = b"assistant_message.content_part.text_delta"
TIMEOUT = 60.0


class HttpError(Exception):
    """The server responded with a status other than 200, or closed the connection early."""


def encode(path: str, body: Mapping[str, Any] | None) -> bytes:
    """Encode a request: POST of a JSON body, or GET without one."""
    if body is None:
        return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    data = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Accept: text/event-stream, application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time.

    After `send`, `done` resolves to the body when the response is complete, or raises `HttpError`.
    Meanwhile `deltas` counts the text deltas received, and `first_delta_at` is the
    `time.perf_counter()` of the first.
    """

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._begin()

    def _begin(self) -> None:
        self.deltas = 0
        self.first_delta_at: float | None = None
        self._buffer = bytearray()
        self._body: list[bytes] = []
        self._tail = b""
        self._status = 0
        self._missing: int | None = None  # bytes of the body or chunk to come; None before the header
        self._chunked = False

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect to a port of 127.0.0.1."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(HttpError(f"the connection was lost: {exc}"))
            self.done.exception()  # retrieved, because nobody may await an abandoned stream

    def send(self, request: bytes) -> asyncio.Future[bytes]:
        """Send an encoded request, and return `done`."""
        self._begin()
        self.done = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.done

    def close(self) -> None:
        """Abort the connection."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._missing is None and not self._chunked and not self._read_head():
            return
        if self._chunked:
            self._read_chunks()
            return
        assert self._missing is not None
        if len(self._buffer) >= self._missing:
            self._take(bytes(self._buffer))
            self._finish()

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[:end]).lower()
        del self._buffer[: end + 4]
        self._status = int(head[9:12])
        self._chunked = b"transfer-encoding: chunked" in head
        if not self._chunked:
            at = head.find(b"content-length:")
            self._missing = 0 if at < 0 else int(head[at + 15 :].split(b"\r\n", 1)[0])
        return True

    def _read_chunks(self) -> None:
        buffer = self._buffer
        at = 0
        while (line := buffer.find(b"\r\n", at)) >= 0:
            size = int(bytes(buffer[at:line]), 16)
            if len(buffer) < line + 4 + size:
                break
            if size == 0:
                self._finish()
                return
            self._take(bytes(buffer[line + 2 : line + 2 + size]))
            at = line + 4 + size
        del buffer[:at]

    def _take(self, data: bytes) -> None:
        self._body.append(data)
        # An event may be split between two chunks: the end of the previous chunk is searched with this one.
        seen = self._tail + data
        found = seen.count(DELTA)
        if found:
            self.deltas += found
            if self.first_delta_at is None:
                self.first_delta_at = time.perf_counter()
        self._tail = seen[-(len(DELTA) - 1) :]

    def _finish(self) -> None:
        if self.done.done():
            return
        body = b"".join(self._body)
        if self._status == 200:
            self.done.set_result(body)
        else:
            self.done.set_exception(HttpError(f"status {self._status}: {body[:300]!r}"))


async def fetch(port: int, request: bytes, timeout: float = TIMEOUT) -> bytes:
    """Send one request on a new connection, and return the body.

    Raises `HttpError` for a status other than 200, `OSError` if nothing listens, `TimeoutError`.
    """
    connection = await Connection.open(port)
    try:
        return await asyncio.wait_for(connection.send(request), timeout)
    finally:
        connection.close()


def events(body: bytes) -> list[dict[str, Any]]:
    """Return the events in a complete SSE body."""
    return [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: ")]


async def run_answers(port: int, request: bytes, count: int, concurrency: int) -> tuple[int, list[float]]:
    """Stream `count` answers over `concurrency` connections.

    Returns the number of text deltas received, and for each answer the seconds until its first delta.
    Raises `HttpError` if an answer has no text.
    """
    left = deque(range(count))
    deltas = 0
    waits: list[float] = []

    async def worker() -> None:
        nonlocal deltas
        connection = await Connection.open(port)
        try:
            while left:
                left.popleft()
                began = time.perf_counter()
                body = await asyncio.wait_for(connection.send(request), TIMEOUT)
                if connection.first_delta_at is None:
                    raise HttpError(f"an answer without text: {body[-300:]!r}")
                deltas += connection.deltas
                waits.append(connection.first_delta_at - began)
        finally:
            connection.close()

    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return deltas, waits


async def run_reads(port: int, request: bytes, seconds: float, concurrency: int) -> float:
    """Repeat a request over `concurrency` keep-alive connections, and return requests per second."""
    finished = 0
    stop_at = time.perf_counter() + seconds

    async def worker() -> None:
        nonlocal finished
        connection = await Connection.open(port)
        try:
            while time.perf_counter() < stop_at:
                await connection.send(request)
                finished += 1
        finally:
            connection.close()

    began = time.perf_counter()
    await asyncio.wait_for(asyncio.gather(*(worker() for _ in range(concurrency))), seconds + TIMEOUT)
    return finished / (time.perf_counter() - began)


async def open_streams(port: int, request: bytes, count: int) -> list[Connection]:
    """Open `count` streams and wait until each has its first text delta.

    The caller closes the connections. Raises `TimeoutError` if a stream has none in time.
    """
    connections = [await Connection.open(port) for _ in range(count)]
    for connection in connections:
        connection.send(request)
    deadline = time.perf_counter() + TIMEOUT
    while any(connection.first_delta_at is None for connection in connections):
        if failed := next((c for c in connections if c.done.done()), None):
            failed.done.result()
            raise HttpError("a stream ended that should have stayed open")
        if time.perf_counter() > deadline:
            raise TimeoutError("not every stream began in time")
        await asyncio.sleep(0.05)
    return connections
