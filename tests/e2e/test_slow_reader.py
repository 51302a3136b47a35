"""Readers that do not keep up with the answer."""

import asyncio
import contextlib

from tests.support.client import connect, create_request, deltas_of, events_in, words
from tests.support.databases import only_sqlite
from tests.support.serving import answer_of, is_delta, message
from tests.support.waiting import until_idle

pytestmark = only_sqlite("a reader is kept up with in memory, and the answer is stored like any other")

TOKENS = 40_000
MODEL = f"fake-n{TOKENS}-k200"
SMALL = "stream_buffer = 65536"

LONG = 600
"""Seconds that so many tokens may take, on a slow machine."""


async def test_a_reader_that_does_not_read_is_disconnected_while_others_are_served_and_the_answer_is_stored(
    started, configure, provider
):
    server = await started.serve(configure(model=MODEL, tools="[]", server=SMALL))
    with connect(server, receive_buffer=4096) as stuck:
        stuck.sendall(create_request())
        async with server.chat() as chat:
            await provider.until("open", 1)
            other, events = await chat.create("echo: me first")
            assert answer_of(events) == "me first"
            await provider.until("finished", 2, seconds=LONG)
            await until_idle(chat)
            await chat.get("threads.delete", thread_id=other)
            [thread] = (await chat.get("threads.list", limit=20, order="desc"))["data"]
            assert await chat.answers(thread["id"]) == [words(TOKENS)]
            assert (await provider.stats())["aborted"] == 0
            assert answer_of(await chat.say(thread["id"], "echo: next")) == "next"
        received = await asyncio.to_thread(rest_of, stuck)
    assert not received.endswith(b"0\r\n\r\n"), "the reader was told that this was all"
    assert received.count(b"\n\n") < TOKENS
    assert await server.stop() == 0
    server.assert_clean()


async def test_a_reader_that_pauses_within_its_buffer_gets_everything(started, configure, provider):
    config = configure(model=MODEL, tools="[]", server="stream_buffer = 100000000")
    server = await started.serve(config)
    with connect(server, receive_buffer=4096) as slow:
        slow.sendall(create_request())
        await provider.until("finished", 1, seconds=LONG)
        received = await asyncio.to_thread(rest_of, slow, until=b"0\r\n\r\n")
    assert received.endswith(b"0\r\n\r\n")
    events = events_in(unchunked(received))
    assert sum(map(is_delta, events)) == TOKENS
    assert answer_of(events) == words(TOKENS)
    assert await server.stop() == 0
    server.assert_clean()


async def test_a_message_and_an_answer_larger_than_the_buffer_reach_a_reader_that_keeps_up(
    started, configure, provider
):
    text = " ".join(f"{number}{'x' * 7000}" for number in range(20))  # twice the size of the buffer
    config = configure(model="fake-h19", tools="[]", server=SMALL, chat="max_message = 200000")
    server = await started.serve(config)
    async with (
        server.chat() as chat,
        chat.stream("threads.create", input=message(f"echo: {text}")) as stream,
    ):
        events = [await anext(stream)]
        while sum(map(is_delta, events)) < 19:
            events.append(await anext(stream))
        await provider.release()  # what is left are the last word, and events with the whole text
        events += [event async for event in stream]
    assert answer_of(events) == deltas_of(events) == text
    assert await server.stop() == 0
    server.assert_clean()


def rest_of(sock, until=None):
    """Read until the end of the stream, or of the connection."""
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(1 << 16):
            data += chunk
            if until is not None and data.endswith(until):
                break
    return bytes(data)


def unchunked(response):
    """Return the body of a response in chunked transfer encoding."""
    rest, body = response.partition(b"\r\n\r\n")[2], bytearray()
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return body.decode()
        body += rest[:length]
        rest = rest[length + 2 :]
