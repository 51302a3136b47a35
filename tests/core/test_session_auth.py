"""`session_auth`: a cookie in exchange for a token."""

import base64
import json
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie

import pytest

from chatrack.assembly.secret_key import SECRET_KEY_FILE, SecretKey
from tests.support.auth import assert_refused, auth_config, bearer, list_threads, who_is
from tests.support.commands import run
from tests.support.serving import serving
from tests.support.tokens import SECRET, claims, token

OLD, NEW = "o" * 32, "n" * 32
NAME = "chatrack_session"
FOREIGN = "https://evil.example"
ORDERS = [("jwt_auth", "session_auth"), ("session_auth", "jwt_auth")]


pytestmark = pytest.mark.usefixtures("made_tables", "who")


@pytest.fixture
def configure(write_config):
    """Write the config of a server with sessions."""

    def configure_with(session="", server=f'secret_key = "{OLD}"', jwt="", order=ORDERS[0]):
        tables = f"""
[plugins.jwt_auth]
secret = "{SECRET}"
{jwt}
[plugins.session_auth]
{session}
"""
        return write_config(auth_config(*order, plugins=tables, server=server))

    return configure_with


def own(chat):
    """Return the origin of a server."""
    return {"origin": str(chat.http.base_url).rstrip("/")}


async def sign_in(chat, headers=None, **changes):
    """Exchange a token for a cookie, and return the cookie's value."""
    signed = token(claims(**changes))
    response = await chat.http.post("/auth/session", headers={**bearer(signed), **(headers or {})})
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    chat.http.cookies.clear()
    return morsel_of(response).value


def morsel_of(response):
    """Return the cookie that a response sets."""
    [header] = response.headers.get_list("set-cookie")
    return SimpleCookie(header)[NAME]


def cookie(value, headers=None):
    """Return the header with the cookie."""
    return {"cookie": f"{NAME}={value}", **(headers or {})}


async def test_a_page_chats_by_cookie(configure):
    async with serving(configure(jwt='tenant_claim = "tenant"')) as chat:
        value = await sign_in(chat, tenant="acme", roles=["a"], name="Ann", email="a@b.example", locale="de")
        chat.http.headers.update(cookie(value, own(chat)))
        thread, events = await chat.create("hello")
        assert events[-1]["type"] != "error"
        assert [entry["id"] for entry in (await chat.get("threads.list", limit=9, order="desc"))["data"]] == [
            thread
        ]
        user = await who_is(chat.http)
        assert user == {
            "id": "alice", "tenant_id": "acme", "roles": ["a"], "name": "Ann", "email": "a@b.example",
            "locale": "de", "state": {},
        }  # fmt: skip


async def test_without_a_token_there_is_no_session(configure):
    async with serving(configure()) as chat:
        for headers in ({}, own(chat), bearer("a.b.c"), bearer(token(claims(exp=1)))):
            assert_refused(await chat.http.post("/auth/session", headers=headers))
        assert (await chat.http.get("/auth/session", headers=bearer(token(claims())))).status_code == 405


@pytest.mark.parametrize(
    "origin",
    [
        FOREIGN, "null", "", None, "http://127.0.0.1", "http://127.0.0.1:1", "http://localhost", "{own}.evil.example",
        "{own}@evil.example", "ftp://127.0.0.1", "{host}", "*", "https://app.example.com.evil.example", "http://[",
        "http://app.example.com", "https://app.example.com:444",
    ],
)  # fmt: skip
async def test_a_foreign_origin_is_refused(origin, configure):
    server = f'secret_key = "{OLD}"\ncors_origins = ["*", "https://app.example.com"]'
    async with serving(configure(server=server)) as chat:
        url = own(chat)["origin"]
        value = await sign_in(chat)
        headers = {} if origin is None else {"origin": origin.format(own=url, host=url[7:])}
        for response in (
            await list_threads(chat.http, cookie(value, headers)),
            await chat.http.post("/auth/session", headers=cookie(value, headers)),
        ):
            assert response.status_code == 403, response.text
            assert "set-cookie" not in response.headers
        if origin:
            assert (await chat.http.get("/x/who/me", headers=cookie(value, headers))).status_code == 403
        assert (await list_threads(chat.http, cookie(value, own(chat)))).status_code == 200


async def test_the_own_origin_is_the_host_that_a_request_was_sent_to(configure):
    async with serving(configure()) as chat:
        value = await sign_in(chat)
        for origin, host in (
            ("https://chat.example.com", "chat.example.com"),  # a proxy ends TLS
            ("http://chat.example.com:8000", "chat.example.com:8000"),
            ("https://CHAT.example.com", "chat.example.com"),
        ):
            headers = cookie(value, {"origin": origin, "host": host})
            assert (await list_threads(chat.http, headers)).status_code == 200
            headers["host"] = "other.example.com"
            assert (await list_threads(chat.http, headers)).status_code == 403


async def test_the_own_origin_is_that_of_public_url(configure):
    server = f'secret_key = "{OLD}"\npublic_url = "https://chat.example.com/sub"'
    async with serving(configure(server=server)) as chat:
        value = await sign_in(chat)
        good = cookie(value, {"origin": "https://chat.example.com"})
        assert (await list_threads(chat.http, good)).status_code == 200
        for origin in (own(chat)["origin"], "http://chat.example.com", "https://chat.example.com:8443"):
            assert (await list_threads(chat.http, cookie(value, {"origin": origin}))).status_code == 403


async def test_origins_of_cors_origins_are_accepted(configure):
    server = f'secret_key = "{OLD}"\ncors_origins = ["https://app.example.com", "http://localhost:3000"]'
    async with serving(configure(server=server)) as chat:
        value = await sign_in(chat, {"origin": "https://app.example.com"})
        for origin in ("https://app.example.com", "http://localhost:3000"):
            response = await list_threads(chat.http, cookie(value, {"origin": origin}))
            assert response.status_code == 200
            assert response.headers["access-control-allow-origin"] == origin
            assert response.headers["access-control-allow-credentials"] == "true"


async def test_reading_needs_no_origin(configure):
    async with serving(configure()) as chat:
        value = await sign_in(chat)
        assert (await who_is(chat.http, cookie(value)))["id"] == "alice"


@pytest.mark.parametrize("order", ORDERS)
async def test_requests_with_a_token_are_not_checked_for_their_origin(order, configure):
    async with serving(configure(order=order)) as chat:
        value = await sign_in(chat)
        signed = bearer(token(claims(sub="bob")))
        for headers in ({}, {"origin": FOREIGN}, {"origin": "null"}, cookie(value, {"origin": FOREIGN})):
            assert (await list_threads(chat.http, {**signed, **headers})).status_code == 200
        # the token counts, not the cookie
        assert (await who_is(chat.http, {**signed, **cookie(value)}))["id"] == "bob"


@pytest.mark.parametrize("same_site", ["lax", "strict", "none"])
@pytest.mark.parametrize(
    ("host", "secure"),
    [("127.0.0.1:8000", False), ("localhost", False), ("[::1]:8000", False), ("chat.example.com", True),
     ("localhost.evil.example", True), ("10.0.0.1", True)],
)  # fmt: skip
async def test_the_cookie_cannot_be_read_by_scripts_nor_sent_in_the_clear(host, secure, same_site, configure):
    async with serving(configure(session=f'same_site = "{same_site}"')) as chat:
        signed = bearer(token(claims()))
        started = await chat.http.post("/auth/session", headers={**signed, "host": host})
        ended = await chat.http.delete("/auth/session", headers={"host": host})
        for response in (started, ended):
            set_cookie = morsel_of(response)
            assert set_cookie["httponly"] is True
            assert set_cookie["samesite"] == same_site
            assert set_cookie["path"] == "/"
            assert not set_cookie["domain"]
            assert bool(set_cookie["secure"]) == (secure or same_site == "none")
        assert 0 < int(morsel_of(started)["max-age"]) <= 3600
        assert (morsel_of(ended).value, morsel_of(ended)["max-age"]) == ("", "0")


async def test_nothing_of_the_token_can_be_read_in_the_cookie(configure):
    async with serving(configure()) as chat:
        value = await sign_in(chat, sub="a-user-with-a-name", secret="a-secret-claim")
        decoded = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        for text in (b"a-user-with-a-name", b"a-secret-claim"):
            assert text not in decoded


async def test_the_cookie_ends_with_the_token(configure, monkeypatch):
    async with serving(configure(session="max_age = 86400")) as chat:
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        response = await chat.http.post(
            "/auth/session", headers=bearer(token(claims(exp=int(end.timestamp()))))
        )
        value = morsel_of(response).value
        chat.http.cookies.clear()
        assert datetime.fromisoformat(response.json()["expires_at"]) == end
        assert int(morsel_of(response)["max-age"]) <= 3600
        monkeypatch.setattr("chatrack.http.auth_guard.now", lambda: end - timedelta(milliseconds=1))
        assert (await list_threads(chat.http, cookie(value, own(chat)))).status_code == 200
        monkeypatch.setattr("chatrack.http.auth_guard.now", lambda: end)
        assert_refused(await list_threads(chat.http, cookie(value, own(chat))))
        assert_refused(await chat.http.post("/auth/session", headers=cookie(value, own(chat))))


async def test_the_cookie_ends_after_max_age(configure, monkeypatch):
    async with serving(configure(session="max_age = 600")) as chat:
        signed = bearer(token(claims()))
        response = await chat.http.post("/auth/session", headers=signed)
        value = morsel_of(response).value
        chat.http.cookies.clear()
        assert 0 < int(morsel_of(response)["max-age"]) <= 600
        end = datetime.fromisoformat(response.json()["expires_at"])
        assert timedelta(seconds=0) < end - datetime.now(UTC) <= timedelta(seconds=600)
        assert (await list_threads(chat.http, cookie(value, own(chat)))).status_code == 200
        monkeypatch.setattr("chatrack.http.auth_guard.now", lambda: end)
        assert_refused(await list_threads(chat.http, cookie(value, own(chat))))
        assert (await list_threads(chat.http, signed)).status_code == 200


async def test_a_cookie_that_was_tampered_with_is_refused(configure):
    async with serving(configure()) as chat:
        value = await sign_in(chat)
        other = await sign_in(chat, sub="bob")
        half = len(value) // 2
        bad = [
            value[:half] + ("A" if value[half] != "A" else "B") + value[half + 1 :],
            value[:-5], value[5:], value[:half], value + value, value[:half] + other[half:], "x", "gAAAAA", "%FF%FE",
            "%C3%A9", "ä".encode().decode("latin-1"), "=", "====", '"', f"{value}x", "A" * 5000, "%00", "%ED%A0%80",
            token(claims()),
        ]  # fmt: skip
        for tampered in bad:
            headers = {
                name.encode(): text.encode("latin-1") for name, text in cookie(tampered, own(chat)).items()
            }
            assert_refused(await list_threads(chat.http, headers))
            assert (await chat.http.delete("/auth/session", headers=headers)).status_code == 204
        assert (await list_threads(chat.http, cookie(value, own(chat)))).status_code == 200


async def test_a_cookie_of_another_server_is_refused(configure):
    async with serving(configure(server=f'secret_key = "{NEW}"')) as chat:
        foreign = await sign_in(chat)
    async with serving(configure()) as chat:
        assert_refused(await list_threads(chat.http, cookie(foreign, own(chat))))


@pytest.mark.parametrize("order", ORDERS)
async def test_a_dead_cookie_does_not_prevent_a_new_session(order, configure):
    async with serving(configure(order=order)) as chat:
        signed = bearer(token(claims()))
        response = await chat.http.post("/auth/session", headers={**signed, **cookie("dead")})
        assert response.status_code == 200
        assert (await list_threads(chat.http, {**signed, **cookie("dead")})).status_code == 200


async def test_signing_out_clears_the_cookie_even_if_it_is_dead(configure):
    async with serving(configure()) as chat:
        value = await sign_in(chat)
        for headers in (cookie(value), cookie("dead"), {}, cookie(value, own(chat))):
            response = await chat.http.delete("/auth/session", headers=headers)
            assert response.status_code == 204
            assert morsel_of(response)["max-age"] == "0"
            assert response.headers["cache-control"] == "no-store"


async def test_a_rotated_key_accepts_old_cookies_until_it_is_removed(configure):
    async with serving(configure(server=f'secret_key = "{OLD}"')) as chat:
        old = await sign_in(chat)
    async with serving(configure(server=f'secret_key = ["{NEW}", "{OLD}"]')) as chat:
        assert (await list_threads(chat.http, cookie(old, own(chat)))).status_code == 200
        new = await sign_in(chat)
    async with serving(configure(server=f'secret_key = ["{NEW}"]')) as chat:
        assert_refused(await list_threads(chat.http, cookie(old, own(chat))))
        assert (await list_threads(chat.http, cookie(new, own(chat)))).status_code == 200


async def test_a_cookie_cannot_be_exchanged_for_a_longer_one(configure):
    async with serving(configure(session="max_age = 60")) as chat:
        short = await sign_in(chat)
    async with serving(configure(session="max_age = 86400")) as chat:
        response = await chat.http.post("/auth/session", headers=cookie(short, own(chat)))
        assert response.status_code == 200
        assert int(morsel_of(response)["max-age"]) <= 60


@pytest.mark.parametrize(
    "extra",
    [
        {"padding": "x" * 4000},
        {"number": 10**30},
        {"roles": [f"role-{number}" for number in range(500)]},
    ],
    ids=["too long", "a large number", "many roles"],
)
async def test_claims_that_do_not_fit_are_refused(extra, configure):
    async with serving(configure()) as chat:
        signed = bearer(token(claims(**extra)))
        assert (await list_threads(chat.http, signed)).status_code == 200
        response = await chat.http.post("/auth/session", headers=signed)
        assert response.status_code == 400, response.text
        assert "claims" in response.json()["detail"]
        assert "set-cookie" not in response.headers


async def test_deep_claims_are_kept(configure):
    async with serving(configure()) as chat:
        value = await sign_in(chat, deep=json.loads("[" * 500 + "]" * 500))
        assert (await list_threads(chat.http, cookie(value, own(chat)))).status_code == 200


async def test_the_key_in_the_file_is_used_if_none_is_configured(configure, tmp_path):
    file = tmp_path / SECRET_KEY_FILE
    path = configure(server="")
    file.parent.mkdir(exist_ok=True)
    file.write_text("k" * 64 + "\n")
    async with serving(path) as chat:
        value = await sign_in(chat)
    async with serving(path) as chat:
        assert (await list_threads(chat.http, cookie(value, own(chat)))).status_code == 200
    assert file.read_text() == "k" * 64 + "\n"
    file.write_text("l" * 64)
    async with serving(path) as chat:
        assert_refused(await list_threads(chat.http, cookie(value, own(chat))))


def test_check_writes_no_key(configure, tmp_path):
    outcome = run("check", "--config", str(configure(server="")))
    assert outcome.code == 0, outcome.err
    assert not (tmp_path / SECRET_KEY_FILE).exists()


def test_check_does_not_print_the_key(configure, tmp_path):
    file = tmp_path / SECRET_KEY_FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text("k" * 64)
    outcome = run("check", "--config", str(configure(server="")), "--verbose")
    assert outcome.code == 0, outcome.err
    assert "k" * 64 not in outcome.out + outcome.err


async def test_the_name_of_the_cookie_is_a_setting(configure):
    async with serving(configure(session='cookie = "other"')) as chat:
        response = await chat.http.post("/auth/session", headers=bearer(token(claims())))
        [header] = response.headers.get_list("set-cookie")
        value = SimpleCookie(header)["other"].value
        chat.http.cookies.clear()
        headers = {"cookie": f"other={value}", **own(chat)}
        assert (await list_threads(chat.http, headers)).status_code == 200
        assert_refused(await list_threads(chat.http, cookie(value, own(chat))))


def test_what_holds_a_generated_key_does_not_show_it(tmp_path):
    key = SecretKey((), tmp_path / "secret_key", create=True)
    [secret] = key.secrets()
    assert key.secrets() == [secret]
    assert secret.decode() not in repr(key)
    assert secret.decode() not in repr(key.secrets)
