"""Readers that do not keep up with the answer."""

import asyncio
import contextlib

from tests.support.client import connect, create_request, events_in, words
from tests.support.databases import only_sqlite
from tests.support.serving import answer_of, is_delta, message

pytestmark = only_sqlite("a reader is kept up with in memory, and the answer is stored like any other")

TOKENS = 40_000
MODEL = f"fake-n{TOKENS}-k200"
SMALL = "stream_buffer = 65536"


async def test_a_reader_that_does_not_read_is_disconnected_and_the_answer_is_stored(
    started, configure, provider
):
    server = await started.serve(configure(model=MODEL, tools="[]", server=SMALL))
    with connect(server, receive_buffer=4096) as stuck:
        stuck.sendall(create_request())
        await provider.until("finished", 1, seconds=90)
        async with server.chat() as chat:
            await until_idle(chat)
            [thread] = (await chat.get("threads.list", limit=20, order="desc"))["data"]
            assert await chat.answers(thread["id"]) == [words(TOKENS)]
            assert (await provider.stats())["aborted"] == 0
            assert answer_of(await chat.say(thread["id"], "echo: next")) == "next"
        received = await asyncio.to_thread(rest_of, stuck)
    assert not received.endswith(b"0\r\n\r\n"), "the reader was told that this was all"
    assert received.count(b"\n\n") < TOKENS
    assert await server.stop() == 0
    server.assert_clean()


async def test_others_are_served_while_a_reader_does_not_read(started, configure, provider):
    server = await started.serve(configure(model=MODEL, tools="[]", server=SMALL))
    with connect(server, receive_buffer=4096) as stuck:
        stuck.sendall(create_request())
        await provider.until("open", 1)
        async with server.chat() as chat:
            _, events = await chat.create("echo: me first")
            assert answer_of(events) == "me first"
            await until_idle(chat)
    assert await server.stop() == 0
    server.assert_clean()


async def test_a_reader_that_pauses_within_its_buffer_gets_everything(started, configure, provider):
    config = configure(model=MODEL, tools="[]", server="stream_buffer = 100000000")
    server = await started.serve(config)
    with connect(server, receive_buffer=4096) as slow:
        slow.sendall(create_request())
        await provider.until("finished", 1, seconds=90)
        await asyncio.sleep(1)
        received = await asyncio.to_thread(rest_of, slow, until=b"0\r\n\r\n")
    assert received.endswith(b"0\r\n\r\n")
    events = events_in(unchunked(received))
    assert sum(map(is_delta, events)) == TOKENS
    assert answer_of(events) == words(TOKENS)
    assert await server.stop() == 0
    server.assert_clean()


async def test_an_answer_larger_than_the_buffer_reaches_a_reader_that_keeps_up(started, configure):
    # its last events hold the whole text: twice the size of the buffer
    server = await started.serve(configure(model="fake-n20000-k50-d10", tools="[]", server=SMALL))
    async with server.chat() as chat:
        response = await chat.call("threads.create", input=message("hello"))
    events = events_in(response.text)
    assert answer_of(events) == words(20_000)
    assert await server.stop() == 0
    server.assert_clean()


async def test_a_message_larger_than_the_buffer_is_answered(started, configure):
    server = await started.serve(configure(tools="[]", server=SMALL, chat="max_message = 100000"))
    async with server.chat() as chat:
        _, events = await chat.create("long " * 20_000)
        assert answer_of(events) == words(8)
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
    """The body of a response whose transfer encoding is chunked."""
    rest, body = response.partition(b"\r\n\r\n")[2], bytearray()
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return body.decode()
        body += rest[:length]
        rest = rest[length + 2 :]


async def until_idle(chat):
    """Wait until no turn runs."""
    for _ in range(600):
        if not (await chat.http.get("/ready")).json()["turns"]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("a turn does not end")
