"""Sessions of a page over two servers that share a secret key, and the key that a server makes for itself."""

import asyncio
import stat
from http.cookies import SimpleCookie

import pytest

from tests.support.auth import assert_refused, bearer, list_threads
from tests.support.databases import only_sqlite
from tests.support.tokens import SECRET, claims, token

OLD, NEW = "o" * 32, "n" * 32

pytestmark = only_sqlite("sessions are not in the database")


@pytest.fixture
def with_sessions(configure):
    """Write the config of a server with sessions; all of them share one database."""

    def write(secret_key=None, name="config.toml"):
        return configure(
            name,
            enabled='["sqlite_store", "openai_provider", "jwt_auth", "session_auth"]',
            tools="[]",
            server="" if secret_key is None else f"secret_key = {secret_key}",
            extra=f'[plugins.jwt_auth]\nsecret = "{SECRET}"\n',
        )

    return write


async def sign_in(server):
    """Exchange a token for a cookie, and return the header with it."""
    async with server.http() as http:
        response = await http.post("/auth/session", headers=bearer(token(claims())))
        assert response.status_code == 200, response.text
        [header] = response.headers.get_list("set-cookie")
    [(name, morsel)] = SimpleCookie(header).items()
    return {"cookie": f"{name}={morsel.value}"}


async def status(server, cookie):
    """Return the status of a request with a cookie from the server's own page."""
    async with server.http() as http:
        return (await list_threads(http, {**cookie, "origin": server.url})).status_code


async def test_a_session_of_one_server_holds_on_the_other(started, with_sessions):
    config = with_sessions(f'"{OLD}"')
    first, second = await asyncio.gather(started.serve(config), started.serve(config))
    cookie = await sign_in(first)
    async with first.chat() as here, second.chat() as there:
        for server, chat in ((first, here), (second, there)):
            chat.http.headers.update({**cookie, "origin": server.url})
        thread, _ = await here.create("echo: hello")
        assert await there.answers(thread) == ["hello"]
        await there.say(thread, "echo: again")
        assert await here.answers(thread) == ["hello", "again"]
        # a page of the one server is foreign to the other
        response = await list_threads(there.http, {"origin": first.url})
        assert response.status_code == 403
    for server in (first, second):
        assert await server.stop() == 0
        server.assert_clean()


async def test_the_key_is_rotated_one_server_after_the_other(started, with_sessions):
    old = with_sessions(f'"{OLD}"', "old.toml")
    accepts_both = with_sessions(f'["{OLD}", "{NEW}"]', "accepts.toml")
    rotated = with_sessions(f'["{NEW}", "{OLD}"]', "rotated.toml")
    new = with_sessions(f'"{NEW}"', "new.toml")
    servers = await asyncio.gather(*(started.serve(config) for config in (old, accepts_both, rotated, new)))
    cookies = [await sign_in(server) for server in servers]
    accepted = [[await status(server, cookie) for cookie in cookies] for server in servers]
    assert accepted == [
        [200, 200, 401, 401],
        [200, 200, 200, 200],
        [200, 200, 200, 200],
        [401, 401, 200, 200],
    ]
    async with servers[3].http() as http:
        assert_refused(await list_threads(http, {**cookies[0], "origin": servers[3].url}))


async def test_two_servers_that_start_at_once_in_an_empty_folder_have_the_same_key(started, with_sessions):
    config = with_sessions()
    file = config.parent / "data" / "secret_key"
    first, second = await asyncio.gather(started.serve(config), started.serve(config))
    cookie = await sign_in(first)
    assert await status(second, cookie) == 200
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text().strip()) == 64
    assert [entry.name for entry in file.parent.iterdir() if "secret" in entry.name] == ["secret_key"]
    key = file.read_text()
    for server in (first, second):
        assert await server.stop() == 0
        server.assert_clean()
        assert key.strip() not in server.log()

    again = await started.serve(config)
    assert file.read_text() == key
    assert await status(again, cookie) == 200


async def test_all_workers_have_the_same_key(started, with_sessions):
    server = started.spawn(with_sessions(), "--workers", "2")
    await server.ready_workers(2)
    await server.ready()
    cookie = await sign_in(server)
    assert {await status(server, cookie) for _ in range(20)} == {200}
