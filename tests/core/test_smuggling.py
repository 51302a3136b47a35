"""Requests that a proxy and the server could understand in different ways are refused, and their connection is closed."""

import asyncio

import pytest

from tests.support.raw_http import connected, exchange, refusal_of
from tests.support.serving import serving
from tests.support.smuggling import HEAD, INNER, SHAPES, VERSIONS
from tests.support.waiting import until_idle

INSIDE = """
seen = []

@hookimpl
def routes(self):
    from litestar import Request, get, post

    @get("/smuggled")
    async def smuggled() -> None:
        raise AssertionError("a request was smuggled in")

    @post("/headers", status_code=200)
    async def headers(request: Request) -> list[str]:
        await request.body()
        return sorted(request.headers)

    return [smuggled, headers]
"""


@pytest.fixture
async def chat(site, tmp_path):
    site.install("inside", INSIDE)
    config = tmp_path / "config.toml"
    config.write_text('enabled = ["sqlite_store", "demo_provider", "inside"]\n[chat]\nmodel = "demo"\n')
    async with serving(config) as client:
        yield client


async def test_ambiguous_requests_are_refused(chat, capfd):
    url = chat.http.base_url
    for name, shape in SHAPES.items():
        for pieces in ((shape,), shape.partition(b"\r\n\r\n")):
            problem = refusal_of(await exchange(url, *filter(None, pieces)))
            assert problem["status"] == 400, name
    for name, shape in VERSIONS.items():
        assert refusal_of(await exchange(url, shape))["status"] == 505, name
    output = capfd.readouterr()
    assert "smuggled" not in output.out + output.err
    assert "\x1b[2J" not in output.out + output.err


async def test_what_comes_after_an_upgrade_that_was_ignored_is_no_request(chat):
    ask = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    response = await exchange(chat.http.base_url, ask + INNER, INNER)
    assert response.startswith(b"HTTP/1.1 200 ")
    assert response.count(b"HTTP/1.1 ") == 1


async def test_headers_after_a_body_do_not_count(chat):
    request = b"POST /x/inside/headers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    response = await exchange(chat.http.base_url, request + b"3\r\nabc\r\n0\r\nX-Chatrack-User: ada\r\n\r\n")
    assert response.endswith(b'["connection","host","transfer-encoding"]')


async def test_requests_that_do_not_wait_for_responses_are_answered_in_order_up_to_a_number(chat):
    request = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    response = await exchange(chat.http.base_url, request % b"none" + request % b"health" + last)
    assert [part[:3] for part in response.split(b"HTTP/1.1 ")[1:]] == [b"404", b"200", b"200"]
    response = await exchange(chat.http.base_url, (request % b"none") * 10_000)
    assert response.count(b"HTTP/1.1 ") < 20


async def test_a_hang_up_is_noticed_though_another_request_waits(configure, upstream):
    # Reading is paused while a request waits: writing is what fails.
    config = configure(model="fake-h2", tools="[]", server="heartbeat = 0.1", extra="idle_timeout = 600")
    body = b'{"type":"threads.create","params":{"input":{"content":[{"type":"input_text","text":"hi"}],"attachments":[],"inference_options":{}}}}'
    async with serving(config) as chat, connected(chat.http.base_url) as connection:
        await connection.send(HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body) + INNER)
        await asyncio.wait_for(connection.reader.readuntil(b"text_delta"), 60)
        connection.writer.transport.abort()
        await until_idle(chat)
