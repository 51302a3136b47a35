"""A client is never told why the server failed, whatever fails; and no client writes into a log."""

import contextlib
import io

import httpx
import pytest

from chatrack import logs
from chatrack.chat.agents.handler import AgentHandler
from tests.support.commands import same_logging
from tests.support.serving import message, serving

BROKEN = """
@hookimpl
def routes(self):
    from litestar import Router, asgi, get, post
    from litestar.response import Stream

    SECRET = "secret-of-the-server"

    @get("/handler")
    async def handler() -> None:
        raise ValueError(SECRET)

    @get("/status")
    async def status() -> None:
        from litestar.exceptions import HTTPException
        raise HTTPException(SECRET, status_code=500)

    @get("/encoding")
    async def encoding() -> Any:
        class Odd:
            def __repr__(self):
                raise ValueError(SECRET)
        return {"x": Odd()}

    async def guard(connection, handler):
        raise ValueError(SECRET)

    @get("/guard", guards=[guard])
    async def guarded() -> None: ...

    def middleware(app):
        async def broken(scope, receive, send):
            raise ValueError(SECRET)
        return broken

    @get("/middleware", middleware=[middleware])
    async def behind() -> None: ...

    @asgi("/mounted", is_mount=True, copy_scope=True)
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError(SECRET)

    @asgi("/late", is_mount=True, copy_scope=True)
    async def late(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        raise ValueError(SECRET)

    @asgi("/silent", is_mount=True, copy_scope=True)
    async def silent(scope: Any, receive: Any, send: Any) -> None: ...

    async def pieces():
        yield b"begun"
        raise ValueError(SECRET)

    @get("/stream")
    async def stream() -> Stream:
        return Stream(pieces())

    @post("/typed")
    async def typed(data: JSONBody[dict[str, int]]) -> None: ...

    @get("/cached")
    async def cached() -> Response[str]:
        return Response("x", headers={"Cache-Control": "public, max-age=60"})

    return [handler, status, encoding, guarded, behind, mounted, late, silent, stream, typed, cached]
"""
SECRET = "secret-of-the-server"


@pytest.fixture
async def chat(site, tmp_path, monkeypatch):
    monkeypatch.setenv("LITESTAR_DEBUG", "1")  # what a developer may have in the environment
    site.install("broken", BROKEN, head="from litestar import Response\nfrom litestar.params import JSONBody")
    config = tmp_path / "config.toml"
    server = 'log_level = "debug"\npublic_url = "https://chat.example.com"'
    config.write_text(
        f'enabled = ["sqlite_store", "demo_provider", "broken"]\n[server]\n{server}\n[chat]\nmodel = "demo"\n'
    )
    async with serving(config) as client:
        yield client


def assert_says_nothing(text: str) -> None:
    for word in (SECRET, "Traceback", "ValueError", 'File "', ".py"):
        assert word not in text


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/json"])
async def test_a_failure_is_a_500_that_says_nothing(chat, accept):
    for path in ("handler", "status", "encoding", "guard", "middleware", "mounted"):
        response = await chat.http.get(f"/x/broken/{path}", headers={"accept": accept})
        assert response.status_code == 500, path
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["detail"] == "Something went wrong on the server."
        assert response.headers["x-content-type-options"] == "nosniff"
        assert_says_nothing(response.text + str(response.headers))


async def test_a_failure_in_a_response_cuts_it_short_and_says_nothing(chat):
    for path in ("late", "stream"):
        async with chat.http.stream("GET", f"/x/broken/{path}") as response:
            assert response.status_code == 200
            pieces = []
            with contextlib.suppress(httpx.RemoteProtocolError):
                async for piece in response.aiter_raw():
                    pieces.append(piece)  # noqa: PERF401  (what came before the end counts)
                pytest.fail("the client was told that this was all")
        assert_says_nothing(b"".join(pieces).decode())
    response = await chat.http.get("/x/broken/silent")
    assert response.status_code == 500
    assert_says_nothing(response.text)


async def test_a_failure_in_a_turn_says_nothing(chat, monkeypatch):
    async def broken(*_args, **_options):
        raise ValueError(SECRET)
        yield

    monkeypatch.setattr(AgentHandler, "events", broken)
    response = await chat.call("threads.create", input=message("hi"))
    assert '"type":"error"' in response.text
    assert_says_nothing(response.text)


@pytest.mark.parametrize("body", ["{", "[" * 100_000, '{"a":' * 900, '{"a": "secret"}'])
async def test_a_body_that_a_route_of_a_plugin_cannot_read_is_a_400(chat, body):
    headers = {"content-type": "application/json"}
    response = await chat.http.post("/x/broken/typed", content=body, headers=headers)
    assert response.status_code == 400
    assert_says_nothing(response.text)


async def test_there_is_no_documentation_of_the_api_on_the_public_address(chat):
    for path in ("/schema", "/schema/openapi.json", "/schema/swagger", "/docs", "/openapi.json", "/redoc"):
        assert (await chat.http.get(path)).status_code == 404


async def test_headers_of_every_response(chat):
    for response in (
        await chat.http.get("/health"),
        await chat.call("threads.list"),
        await chat.call("nonsense"),
        await chat.http.get("/nothing"),
        await chat.http.get("/x/broken/handler"),
        await chat.http.options(chat.path),
    ):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["strict-transport-security"] == "max-age=31536000"
    response = await chat.http.get("/x/broken/cached")
    assert response.headers.get_list("cache-control") == ["public, max-age=60"]


async def test_a_request_id_is_the_servers_own(chat):
    for sent in ("mine", "req_0123456789abcdef0123456789abcdef", "x" * 5000, "a b\tc"):
        response = await chat.http.get("/nothing", headers={"x-request-id": sent})
        [given] = response.headers.get_list("x-request-id")
        assert given == response.json()["request_id"]
        assert given != sent
        assert given.startswith("req_")


@pytest.mark.parametrize("style", ["json", "console"])
async def test_a_request_is_one_line_of_the_log_whatever_is_in_it(chat, style):
    orders = "%0d%0a%1b[2J%00%85%e2%80%a8{x}"
    with same_logging(), contextlib.redirect_stderr(io.StringIO()) as log:
        logs.configure("debug", style)
        await chat.http.request(
            "PATCH",
            f"/nothing/{orders}?{orders}",
            headers={
                "user-agent": orders,
                "referer": orders,
                "x-request-id": orders,
                "x-forwarded-for": orders,
            },
        )
    [line] = [line for line in log.getvalue().split("\n") if "/nothing" in line]
    assert line.isprintable()
    assert "PATCH" in line
