"""Talking to servers that are processes of their own."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from typing import Any

from tests.support.process import Server
from tests.support.serving import Chat, is_delta, message


async def say_when_free(
    chat: Chat, thread_id: str, text: str, *, seconds: float, refusals: Collection[int] = (409,)
) -> tuple[int, list[dict[str, Any]]]:
    """Write into a thread, again and again while it is refused; give how often it was, and the events.

    Args:
        chat: whom to ask.
        thread_id: the thread.
        text: the message.
        seconds: how long to go on asking.
        refusals: the statuses after which to ask again.
    """
    deadline = time.monotonic() + seconds
    refused = 0
    while True:
        response = await chat.call("threads.add_user_message", thread_id=thread_id, input=message(text))
        if response.status_code == 200:
            return refused, events_in(response.text)
        assert response.status_code in refusals, response.text
        assert time.monotonic() < deadline, f"refused {refused} times: {response.text}"
        refused += 1
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def answering(
    chat: Chat, deltas: int = 5
) -> AsyncIterator[tuple[AsyncIterator[dict[str, Any]], list[Any]]]:
    """Begin a thread and read until the answer is under way; give the stream, and the events so far."""
    async with chat.stream("threads.create", input=message("hello")) as stream:
        events = [await anext(stream)]
        while sum(map(is_delta, events)) < deltas:
            events.append(await anext(stream))
        yield stream, events


@contextlib.contextmanager
def connect(server: Server, *, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    """A bare connection to a server.

    Args:
        server: the server.
        receive_buffer: how many bytes the kernel keeps for a reader that does not read.
    """
    with socket.socket() as sock:
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(60)
        sock.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        yield sock


def create_request(text: str = "hello") -> bytes:
    """The bytes of a request that begins a thread."""
    body = json.dumps({"type": "threads.create", "params": {"input": message(text)}}).encode()
    head = (
        "POST /chatkit/api HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join([*head, "", ""]).encode() + body


def events_in(body: str) -> list[dict[str, Any]]:
    """The events of a whole stream."""
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: ")]


def deltas_of(events: Iterable[dict[str, Any]]) -> str:
    """The text that a client was shown while it was being written."""
    return "".join(event["update"]["delta"] for event in events if is_delta(event))


def words(count: int) -> str:
    """The plain answer of the fake upstream."""
    return "".join(f"w{number} " for number in range(count))
