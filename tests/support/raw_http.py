"""Requests byte by byte, for what no HTTP client sends."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from tests.support.waiting import LIMIT


class Connection:
    """A TCP connection to a server.

    Args:
        reader: what the server sends.
        writer: sends to the server.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send; a connection that the server has closed takes nothing, which is no error."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def rest(self) -> bytes:
        """Read until the server has closed the connection."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while chunk := await asyncio.wait_for(self.reader.read(65_536), LIMIT):
                data += chunk
        return data


@contextlib.asynccontextmanager
async def connected(url: httpx.URL | str) -> AsyncIterator[Connection]:
    """Yield a connection to a server."""
    url = httpx.URL(url)
    reader, writer = await asyncio.open_connection(url.host, url.port, limit=1 << 24)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()


async def exchange(url: httpx.URL | str, *pieces: bytes) -> bytes:
    """Send pieces one after the other, and return what the server sends until it closes the connection."""
    async with connected(url) as connection:
        for piece in pieces:
            await connection.send(piece)
            await asyncio.sleep(0.01)
        return await connection.rest()


def refusal_of(response: bytes) -> dict[str, Any]:
    """Return the problem of a response that is one; there is no other response in the same bytes."""
    assert response.count(b"HTTP/1.1 ") == 1, response
    head, _, body = response.partition(b"\r\n\r\n")
    headers = {
        name.lower(): value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n")[1:])
    }
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"connection"] == b"close"
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert int(headers[b"content-length"]) == len(body)
    problem = json.loads(body)
    assert problem["request_id"] == headers[b"x-request-id"].decode()
    assert int(head.split()[1]) == problem["status"]
    return dict(problem)
