"""Bounds of requests: sizes, times, connections."""

import asyncio
import gzip
import json
import resource

import pytest

from chatrack.http.process import max_connections
from chatrack.http.protocol import MAX_HEAD
from chatrack.http.request_head import MAX_HEADERS, MAX_URL
from tests.support import serving as serving_module
from tests.support.clock import advance, run_what_is_ready
from tests.support.raw_http import connected, exchange, refusal_of
from tests.support.serving import serving
from tests.support.waiting import until

POST = b"POST /chatkit/api HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
LIST = b'{"type":"threads.list"}'
TIMEOUT = 30.0
"""The default of `request_timeout`."""


@pytest.fixture
async def chat(tmp_path):
    async with serving(config_in(tmp_path)) as client:
        yield client


def config_in(folder, server=""):
    config = folder / "config.toml"
    config.write_text(
        f'enabled = ["sqlite_store", "demo_provider"]\n[server]\n{server}\n[chat]\nmodel = "demo"\n'
    )
    return config


def head_of(length):
    """Return a whole head of a length; the connection is closed after the response."""
    begin, end = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: ", b"\r\n\r\n"
    return begin + b"x" * (length - len(begin) - len(end)) + end


async def test_a_head_is_bounded(chat):
    url = chat.http.base_url
    assert (await exchange(url, head_of(MAX_HEAD))).startswith(b"HTTP/1.1 200 ")
    for endless in (
        (head_of(MAX_HEAD + 1),),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ", *[b"x" * 10_000] * 10),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"x" * 1_000_000,),
        (b"\r\n" * MAX_HEAD,),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"a:\r\n" * MAX_HEADERS + b"\r\n",),
    ):
        assert refusal_of(await exchange(url, *endless))["status"] == 431


async def test_a_url_is_bounded(chat):
    url, rest = chat.http.base_url, b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert (await exchange(url, b"GET /" + b"x" * (MAX_URL - 1) + rest)).startswith(b"HTTP/1.1 404 ")
    for endless in ((b"GET /" + b"x" * MAX_URL + rest,), (b"GET /?", b"x" * 100_000)):
        assert refusal_of(await exchange(url, *endless))["status"] == 414


async def test_what_is_in_a_chunked_body_beside_its_content_is_bounded(chat):
    url, head = chat.http.base_url, POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    bytewise = b"".join(b"1;a\r\n%c\r\n" % byte for byte in LIST) + b"0\r\nX-Sum: 1\r\n\r\n"
    assert (await exchange(url, head + bytewise)).startswith(b"HTTP/1.1 200 ")
    for endless in (b"1;" + b"x" * 100_000, b"0" * 100_000, b"0\r\nX: " + b"x" * 100_000):
        assert refusal_of(await exchange(url, head, endless))["status"] == 400


async def test_a_compressed_body_is_a_415_and_is_not_decompressed(chat):
    bomb = gzip.compress(b'{"type":"threads.list","x":"' + b"x" * 50_000_000 + b'"}')
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    response = await chat.http.post(chat.path, content=bomb, headers=headers)
    assert response.status_code == 415
    assert "compressed" in response.json()["detail"]


@pytest.mark.parametrize("body", ["[" * 100 + "]" * 100, '{"a":' * 100 + "1" + "}" * 100, "[" * 1_000_000])
async def test_a_body_of_a_hundred_levels_is_a_400_that_says_so(chat, body):
    response = await chat.http.post(chat.path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "nested too deeply" in response.json()["detail"]


async def test_brackets_in_texts_are_no_levels(chat):
    body = json.dumps({"type": "threads.list", "metadata": {"x": '\\"[{' * 1000}})
    headers = {"content-type": "application/json"}
    assert (await chat.http.post(chat.path, content=body, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "sent", [b"G", b"GET /health HTTP/1.1\r\nHost: localhost\r\n", POST + b"Content-Length: 9\r\n\r\n{"]
)
async def test_a_request_that_does_not_arrive_in_time_is_a_408(chat, sent):
    async with connected(chat.http.base_url) as connection:
        await connection.send(sent)
        await run_what_is_ready()
        advance(TIMEOUT)
        assert refusal_of(await connection.rest())["status"] == 408


async def test_a_request_behind_another_one_has_its_time_as_well(chat):
    async with connected(chat.http.base_url) as connection:
        await connection.send(head_of(1000).replace(b"close", b"x") + POST + b"Content-Length: 9\r\n\r\n{")
        assert b" 200 " in await connection.reader.readuntil(b"}")
        await run_what_is_ready()
        advance(TIMEOUT)
        assert refusal_of(await connection.rest())["status"] == 408


async def test_a_request_that_arrives_byte_by_byte_is_not_given_more_time(chat):
    async with connected(chat.http.base_url) as connection:
        for byte in b"GET /health":
            await connection.send(bytes([byte]))
            await run_what_is_ready()
            advance(TIMEOUT / 10)
        assert refusal_of(await connection.rest())["status"] == 408


async def test_a_body_has_more_time_the_more_of_it_arrives(chat):
    length = 400_000
    body = LIST[:-1] + b',"x":"' + b"x" * (length - len(LIST) - 7) + b'"}'
    async with connected(chat.http.base_url) as connection:
        await connection.send(POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % length)
        for start in range(0, length, 100_000):
            await connection.send(body[start : start + 100_000])
            await run_what_is_ready()
            await asyncio.sleep(0.01)
            advance(TIMEOUT * 0.9)
            await run_what_is_ready()
        assert (await connection.rest()).startswith(b"HTTP/1.1 200 ")


async def test_a_connection_that_sends_nothing_is_closed_without_a_word(chat):
    async with connected(chat.http.base_url) as connection:
        await run_what_is_ready()
        advance(TIMEOUT)
        assert await connection.rest() == b""


async def test_a_body_that_goes_on_after_its_refusal_is_not_read_for_long(chat):
    async with connected(chat.http.base_url) as connection:
        await connection.send(POST.replace(b"json", b"text") + b"Content-Length: 1000000000\r\n\r\n")
        assert b" 415 " in await connection.reader.readuntil(b"}")

        async def closed():
            await connection.send(b"x" * 65_536)
            advance(0.1)
            return connection.reader.at_eof() or connection.reader.exception()

        await until(closed)


async def test_a_connection_is_idle_when_the_rest_of_a_refused_request_has_arrived(chat):
    async with connected(chat.http.base_url) as connection:
        await connection.send(POST.replace(b"json", b"text") + b"Content-Length: 3\r\n\r\n")
        assert b" 415 " in await connection.reader.readuntil(b"}")
        await connection.send(b"abc" + head_of(1000).replace(b"close", b"x"))
        assert b" 200 " in await connection.reader.readuntil(b"}")
        await connection.send(POST.replace(b"json", b"text") + b"Content-Length: 3\r\n\r\n")
        assert b" 415 " in await connection.reader.readuntil(b"}")
        await connection.send(b"abc")
        await run_what_is_ready()
        advance(TIMEOUT)
        assert await connection.rest() == b""


async def test_a_response_that_nobody_reads_is_dropped(configure):
    async with serving(configure(tools="[]", chat="max_message = 1000000")) as chat:
        thread, _ = await chat.create("echo: " + "x" * 900_000)
        body = json.dumps({"type": "items.list", "params": {"thread_id": thread}}).encode()
        request = POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        async with connected(chat.http.base_url) as connection:
            connection.writer.transport.pause_reading()
            for _ in range(6):
                await connection.send(request)
            await until(lambda: connections(chat, stalled=True))
            for _ in range(10):
                advance(61)
                await run_what_is_ready()
            assert not connections(chat, stalled=True)


def connections(chat, *, stalled=False):
    return [
        connection
        for connection in chat.process.server_state.connections
        if not stalled or connection.flow.write_paused
    ]


async def test_connections_beyond_the_limit_are_closed_and_others_are_served(tmp_path, monkeypatch):
    monkeypatch.setattr(serving_module, "MAX_CONNECTIONS", 3)
    async with serving(config_in(tmp_path)) as chat:
        assert (await chat.http.get("/health")).status_code == 200
        async with connected(chat.http.base_url), connected(chat.http.base_url):
            await run_what_is_ready()
            assert await exchange(chat.http.base_url) == b""
            assert (await chat.http.get("/health")).status_code == 200  # over the connection that it has
        await until(lambda: len(connections(chat)) == 1)
        assert b" 200 " in await exchange(chat.http.base_url, head_of(1000))


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "allowed"),
    [
        (1024, 20_000, 20_000, 19_744),
        (1024, 1_000_000, 65_536, 65_280),
        (1024, resource.RLIM_INFINITY, 65_536, 65_280),
        (100_000, 200_000, None, 99_744),
        (256, 256, 256, 128),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, 65_536),
    ],
)
def test_a_process_may_have_as_many_connections_as_files_but_some(monkeypatch, soft, hard, raised, allowed):
    limits = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))
    assert max_connections() == allowed
    assert limits == ([] if raised is None else [(raised, hard)])
