"""Floods and hostile requests, beside a stream that must not notice."""

import asyncio
import contextlib
import gzip
import resource

import pytest

from tests.support.client import deltas_of, words
from tests.support.databases import only_sqlite
from tests.support.raw_http import connected, exchange, refusal_of
from tests.support.serving import answer_of, errors_of, is_delta, message
from tests.support.smuggling import HEAD, SHAPES, VERSIONS
from tests.support.waiting import until

pytestmark = only_sqlite("floods are between the server and clients")

HELD, TOKENS = 1500, 1520
"""The number of tokens that come while the flood lasts, and of all."""

TIMEOUT = 3
CONNECTIONS = 2000
SPARE_FILES = 200


async def drip(url, head, byte):
    """Send a byte now and then until the server has closed the connection; return what it sent."""
    async with connected(url) as connection:
        await connection.send(head)

        async def closed():
            await asyncio.sleep(0.1)
            await connection.send(byte)
            return connection.reader.at_eof() or connection.writer.transport.is_closing()

        response = asyncio.create_task(connection.rest())
        await until(closed)
        return await response


async def slow_heads(url):
    for response in await asyncio.gather(*(drip(url, b"GET /x HTTP/1.1\r\nA: ", b"a") for _ in range(50))):
        assert refusal_of(response)["status"] == 408


async def slow_bodies(url):
    head = HEAD + b"Content-Length: 100000\r\n\r\n"
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;"
    for response in await asyncio.gather(
        *(drip(url, head, b" ") for _ in range(25)), *(drip(url, chunked, b"a") for _ in range(25))
    ):
        assert refusal_of(response)["status"] == 408


async def endless_heads(url):
    for _ in range(20):
        responses = await asyncio.gather(
            exchange(url, b"GET /x HTTP/1.1\r\n", *[b"a: b\r\n" * 1000] * 20),
            exchange(url, b"GET /x HTTP/1.1\r\nA: ", *[b"a" * 10_000] * 20),
            exchange(url, b"GET /", *[b"a" * 10_000] * 20),
        )
        assert [refusal_of(response)["status"] for response in responses] == [431, 431, 414]


async def deep_bodies(url):
    for body in (b'{"a":' * 100 + b"1" + b"}" * 100, b"[" * 1_000_000):
        head = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        for _ in range(20):
            response = await exchange(url, head + body)
            assert response.startswith(b"HTTP/1.1 400 ")
            assert b"nested too deeply" in response


async def compressed_bombs(url):
    bomb = gzip.compress(b"[" + b" " * 200_000_000, 9)
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    for response in await asyncio.gather(*(exchange(url, head + bomb) for _ in range(20))):
        assert response.startswith(b"HTTP/1.1 415 ")


async def smuggled_requests(url):
    for shape in (*SHAPES.values(), *VERSIONS.values()):
        assert refusal_of(await exchange(url, shape))["status"] in {400, 505}


async def idle_connections(url, chat):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, CONNECTIONS + SPARE_FILES)), hard))
    try:
        count = min(CONNECTIONS, max(soft, resource.getrlimit(resource.RLIMIT_NOFILE)[0]) - SPARE_FILES)
        async with contextlib.AsyncExitStack() as stack:
            idle = [await stack.enter_async_context(connected(url)) for _ in range(count)]
            assert (await chat.call("threads.list")).status_code == 200
            await asyncio.gather(*(assert_dropped(connection) for connection in idle))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def assert_dropped(connection):
    assert await connection.rest() == b""


@pytest.mark.long
async def test_a_stream_loses_no_delta_whatever_else_is_sent(started, configure, provider):
    config = configure(
        model=f"fake-n{TOKENS}-d5-h{HELD}", tools="[]", server=f"request_timeout = {TIMEOUT}\nheartbeat = 1"
    )
    server = await started.serve(config)
    url = server.url
    async with (
        server.chat() as chat,
        chat.stream("threads.create", input=message("hello")) as stream,
    ):
        events = []

        async def read():
            async for event in stream:
                events.append(event)  # noqa: PERF401  (others look at the list meanwhile)

        reading = asyncio.create_task(read())
        await until(lambda: any(map(is_delta, events)))
        await asyncio.gather(slow_heads(url), slow_bodies(url), idle_connections(url, chat))
        for attack in (endless_heads, deep_bodies, compressed_bombs, smuggled_requests):
            await attack(url)
        assert not reading.done()
        await provider.release()
        await reading
        assert not errors_of(events)
        assert deltas_of(events) == answer_of(events) == words(TOKENS)
        assert (await chat.call("threads.list")).status_code == 200
    assert await server.stop() == 0
    server.assert_clean()
