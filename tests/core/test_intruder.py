"""What somebody without credentials, or with the credentials of another user, tries on routes, in headers and in logs."""

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest
import structlog

from chatrack import Access, DeriveKey, User, audit, logs
from chatrack.builtin.session_auth import SessionAuthenticator
from tests.support.commands import same_logging
from tests.support.serving import Chat, serving

DESK = """
@hookimpl
def routes(self):
    from litestar import Request, asgi, post, route
    from litestar.response import Response

    done = self.done = []

    @post("/pay")
    async def pay(request: Request) -> None:
        done.append(await request.json())

    @get("/pay")
    async def show() -> int:
        return len(done)

    @route("/options", http_method=["OPTIONS"], status_code=200)
    async def options() -> str:
        return "secret"

    @asgi("/app", is_mount=True, copy_scope=True)
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Response("secret").to_asgi_response(None, None)(scope, receive, send)

    @get("/{name:str}")
    async def secret() -> str:
        return "secret"

    return [pay, show, options, app, secret]
"""
"""A plugin with routes that change something, and with routes that answer OPTIONS themselves."""

PAGE = {"content-type": "text/plain"}
"""What any page may send to any server without asking it first."""


@pytest.fixture
def site(site):
    site.install("desk", DESK)
    return site


def config(folder: Path, *, plugins: str = "", server: str = "", extra: str = "") -> Path:
    path = folder / "config.toml"
    enabled = f'["sqlite_store", "demo_provider", "desk"{plugins}]'
    path.write_text(f'enabled = {enabled}\n[server]\n{server}\n[chat]\nmodel = "demo"\n{extra}')
    return path


SIGNED_IN = {
    "plugins": ', "jwt_auth"',
    "extra": '[plugins.jwt_auth]\nsecret = "the secret of the issuer, long enough"\n',
}


async def pay(chat: Chat, origin: str | None) -> int:
    headers = PAGE if origin is None else {**PAGE, "origin": origin}
    return (await chat.http.post("/x/desk/pay", content='{"to": "mallory"}', headers=headers)).status_code


async def test_a_page_of_another_site_does_nothing_as_the_local_user(site, tmp_path):
    async with serving(config(tmp_path, server='cors_origins = ["https://app.example.com"]')) as chat:
        for origin in ("https://evil.example", "null", "http://localhost.evil.example", "http://[::1", "x"):
            assert await pay(chat, origin) == 403, origin
        assert (await chat.http.get("/x/desk/pay")).json() == 0
        own = str(chat.http.base_url).rstrip("/")
        for origin in (None, own, "https://app.example.com", "http://localhost:3000", "http://[::1]:5173"):
            assert await pay(chat, origin) == 201, origin


@pytest.mark.parametrize("server", ['cors_origins = ["*"]', "allow_anonymous = true"])
async def test_pages_of_all_sites_are_let_in_if_the_config_says_so(site, tmp_path, server):
    async with serving(config(tmp_path, server=server)) as chat:
        assert await pay(chat, "https://evil.example") == 201


async def test_the_method_options_opens_no_route_of_a_plugin(site, tmp_path):
    async with serving(config(tmp_path, **SIGNED_IN)) as chat:
        for path in ("/x/desk/options", "/x/desk/app", "/x/desk/app/more"):
            response = await chat.http.options(path)
            assert response.status_code == 401, path
            assert "secret" not in response.text


async def test_the_methods_of_a_route_are_told_to_everybody(site, tmp_path):
    async with serving(config(tmp_path, **SIGNED_IN)) as chat:
        response = await chat.http.options("/x/desk/pay")
        assert response.status_code == 204
        assert "POST" in response.headers["allow"]


@contextlib.contextmanager
def console() -> Iterator[io.StringIO]:
    """Log for people, into what is returned."""
    with same_logging(), contextlib.redirect_stderr(io.StringIO()) as text:
        logs.configure("info", "console")
        audit.configure(None)
        yield text


ORDERS = "%1b[2J%1b]0;mine%07%c2%9b31m%c2%85%e2%80%a8%e2%80%ae%7f"
"""What terminals obey, and what some programs take for the end of a line."""


def obeyed(text: str) -> list[str]:
    return [char for char in text if not char.isprintable() and char != "\n"]


async def test_a_path_gives_no_orders_to_the_terminal_that_shows_the_log(site, tmp_path):
    with console() as log:
        async with serving(config(tmp_path)) as chat:
            assert (await chat.http.get(f"/nothing/{ORDERS}")).status_code == 404
    text = log.getvalue()
    assert "/nothing/\\x1b[2J" in text
    assert not obeyed(text)


def test_an_error_gives_no_orders_to_the_terminal_that_shows_the_log():
    error = ValueError(unquote(ORDERS))
    with console() as log:
        structlog.get_logger().error("it failed", exc_info=error)
        logging.getLogger("library").error("it failed", exc_info=error)
    text = log.getvalue()
    assert text.count("\nValueError: \\x1b[2J") == 2
    assert not obeyed(text)


async def test_a_path_is_one_line_of_the_audit_log_without_orders_to_a_terminal(site, tmp_path):
    with console() as log:
        async with serving(config(tmp_path, **SIGNED_IN)) as chat:
            assert (await chat.http.get(f"/x/desk/secret{ORDERS}é")).status_code == 401
    [line] = [line for line in log.getvalue().splitlines() if line.startswith('{"time"')]
    assert not obeyed(line)
    assert json.loads(line)["path"] == unquote(f"/x/desk/secret{ORDERS}é")


async def test_the_path_in_the_logs_is_the_whole_one_also_of_what_a_plugin_mounts(site, tmp_path):
    path = "/x/desk/app/chatkit/api"
    with console() as log:
        async with serving(config(tmp_path, **SIGNED_IN)) as chat:
            assert (await chat.http.post(path)).status_code == 401
    refused, request = log.getvalue().splitlines()[-2:]
    assert json.loads(refused)["path"] == path
    assert f" path={path} " in request


async def test_with_a_cookie_that_has_expired_nobody_signs_its_user_out_in_the_audit_log(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(
        'enabled = ["sqlite_store", "demo_provider", "jwt_auth", "session_auth"]\n[chat]\nmodel = "demo"\n'
        f'{SIGNED_IN["extra"]}[server]\nsecret_key = "{"k" * 32}"\n'
    )
    key = DeriveKey(lambda: [b"k" * 32], "session_auth")("cookie")
    user = User(id="ada", expires_at=datetime.now(UTC) - timedelta(days=1))
    with console() as log:
        async with serving(path) as chat:
            for sent, ended in ((user, False), (msgspec.structs.replace(user, expires_at=None), True)):
                cookie = SessionAuthenticator([key], "chatrack_session").seal(Access(user=sent))
                headers = {"cookie": f"chatrack_session={cookie}"}
                response = await chat.http.delete("/auth/session", headers=headers)
                assert response.status_code == 204
                assert ('"session_ended"' in log.getvalue()) is ended
