"""Clients of servers in other processes."""

import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from tests.support.process import Server
from tests.support.serving import Chat, is_delta, message
from tests.support.waiting import LIMIT, until


async def say_when_free(chat: Chat, thread_id: str, text: str) -> tuple[int, list[dict[str, Any]]]:
    """Send a message to a thread, again and again while the thread is busy.

    Returns:
        How often it was refused, and the events of the answer.
    """
    refused = 0

    async def say() -> str | None:
        nonlocal refused
        response = await chat.call("threads.add_user_message", thread_id=thread_id, input=message(text))
        if response.status_code == 200:
            return response.text
        assert response.status_code == 409, response.text
        refused += 1
        return None

    body = await until(say, otherwise=lambda: f"refused {refused} times")
    return refused, events_in(body)


@contextlib.asynccontextmanager
async def answering(
    chat: Chat, deltas: int = 5
) -> AsyncIterator[tuple[AsyncIterator[dict[str, Any]], list[Any]]]:
    """Begin a thread and read until some of the answer has arrived; yield the stream and the events so far."""
    async with chat.stream("threads.create", input=message("hello")) as stream:
        events = [await anext(stream)]
        while sum(map(is_delta, events)) < deltas:
            events.append(await anext(stream))
        yield stream, events


@contextlib.contextmanager
def connect(server: Server, *, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    """Yield a plain TCP connection to a server.

    Args:
        server: the server.
        receive_buffer: the bytes that the kernel buffers for a reader that does not read.
    """
    with socket.socket() as sock:
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(LIMIT)
        sock.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        yield sock


def create_request(text: str = "hello") -> bytes:
    """Return the bytes of a request that begins a thread."""
    body = json.dumps({"type": "threads.create", "params": {"input": message(text)}}).encode()
    head = (
        "POST /chatkit/api HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join([*head, "", ""]).encode() + body


def events_in(body: str) -> list[dict[str, Any]]:
    """Return the events of a complete stream."""
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: ")]


def deltas_of(events: Iterable[dict[str, Any]]) -> str:
    """Return the text of all text deltas."""
    return "".join(event["update"]["delta"] for event in events if is_delta(event))


def words(count: int) -> str:
    """Return the plain answer of the fake upstream."""
    return "".join(f"w{number} " for number in range(count))
