"""The address of a client behind proxies, and the hosts that a server answers for."""

import contextlib
import io
import json

import pytest

from chatrack import audit
from chatrack.http.client_address import ClientAddress
from tests.support.auth import auth_config
from tests.support.commands import same_logging
from tests.support.serving import serving

PROXIES = ["10.0.0.0/8", "::1", "2001:db8::/32"]
PEER = "10.0.0.1"


def address_of(*headers: str, peer: str = PEER, proxies=PROXIES):
    scope = {"client": (peer, 1), "headers": [(b"x-forwarded-for", header.encode()) for header in headers]}
    return ClientAddress(proxies).of(scope)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], PEER),
        (["203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, 10.1.1.1"], "203.0.113.9"),
        (["1.1.1.1, 203.0.113.9, 10.1.1.1,10.2.2.2"], "203.0.113.9"),
        (["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9", "10.1.1.1"], "203.0.113.9"),
        (["10.3.3.3, 10.1.1.1"], "10.3.3.3"),
        (["203.0.113.9:4711"], "203.0.113.9"),
        (["2001:DB9::0:1"], "2001:db9::1"),
        (["[2001:db9::1]:4711"], "2001:db9::1"),
        (["[2001:db9::1]"], "2001:db9::1"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["nonsense, 203.0.113.9"], "203.0.113.9"),
        *(
            ([header], PEER)
            for header in (
                "",
                ",",
                "unknown",
                "_hidden",
                "203.0.113.9, unknown",
                "203.0.113.9, , 10.1.1.1",
                "203.0.113.999",
                "203.0.113.9/8",
                "203.0.113.9:",
                "[203.0.113.9",
                "localhost",
                "fe80::1%\x1b[2J",
                "٢٠٣.0.113.9",
            )
        ),
    ],
)
def test_the_first_address_from_the_right_that_is_no_proxy_is_the_clients(headers, expected):
    assert address_of(*headers) == expected


def test_the_header_is_not_believed_from_others():
    for peer in ("203.0.113.1", "2001:db9::1", "testclient"):
        assert address_of("1.1.1.1", peer=peer) == peer
    assert address_of("1.1.1.1", proxies=[]) == PEER


def test_a_proxy_may_have_an_address_of_any_kind():
    for peer in ("::1", "::ffff:10.0.0.1", "2001:db8:1::5"):
        assert address_of("203.0.113.9", peer=peer) == "203.0.113.9"
    assert ClientAddress(PROXIES).of({"client": None, "headers": []}) is None


JWT = '[plugins.jwt_auth]\nsecret = "the secret of the issuer, long enough"\n'


async def addresses_of(folder, server, headers):
    """Return the status of a request that is refused, and the address in the audit log."""
    config = folder / "config.toml"
    config.write_text(auth_config("jwt_auth", plugins=JWT, server=server))
    with same_logging(), contextlib.redirect_stderr(io.StringIO()) as log:
        audit.configure(None)
        async with serving(config) as chat:
            assert (await chat.http.post(chat.path, headers=headers)).status_code == 401
    return [json.loads(line)["address"] for line in log.getvalue().splitlines() if line.startswith('{"time"')]


async def test_the_audit_log_has_the_address_of_the_client(who, tmp_path):
    sent = {"x-forwarded-for": "1.1.1.1, 203.0.113.9"}
    assert await addresses_of(tmp_path, 'trusted_proxies = ["127.0.0.0/8"]', sent) == ["203.0.113.9"]
    assert await addresses_of(tmp_path, "", sent) == ["127.0.0.1"]


async def test_without_an_authenticator_a_proxy_lets_in_nobody_from_elsewhere(who, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(auth_config(server='trusted_proxies = ["127.0.0.1"]'))
    async with serving(config) as chat:
        for address, status in (("203.0.113.9", 403), ("1.1.1.1, 203.0.113.9", 403), ("127.0.0.1", 200)):
            response = await chat.http.get("/x/who/me", headers={"x-forwarded-for": address})
            assert response.status_code == status
        assert (await chat.http.get("/x/who/me")).status_code == 200


async def test_only_requests_for_an_allowed_host_are_answered(who, tmp_path):
    hosts = ["chat.example.com", "*.example.org", "127.0.0.1", "::1"]
    config = tmp_path / "config.toml"
    server = f"allowed_hosts = {json.dumps(hosts)}\nallow_anonymous = true\n"
    config.write_text(auth_config(server=server + 'cors_origins = ["https://page.example"]'))
    allowed = "chat.example.com", "CHAT.example.com:8000", "chat.example.com.", "a.b.example.org", "[::1]:80"
    refused = "example.com", "evil.chat.example.com", "example.org", "evil-example.org", "localhost", "[::2]"
    async with serving(config) as chat:
        for host in allowed:
            assert (await chat.http.get("/x/who/me", headers={"host": host})).status_code == 200, host
        for host in refused:
            for method, path in (("GET", "/x/who/me"), ("POST", chat.path), ("GET", "/none")):
                response = await chat.http.request(method, path, headers={"host": host})
                assert response.status_code == 400, host
                assert response.headers["content-type"] == "application/problem+json"
                assert response.headers["x-request-id"] == response.json()["request_id"]
                assert response.headers["x-content-type-options"] == "nosniff"
            preflight = {
                "host": host,
                "origin": "https://page.example",
                "access-control-request-method": "POST",
            }
            assert (await chat.http.options(chat.path, headers=preflight)).status_code == 400
            for path in ("/health", "/ready"):
                assert (await chat.http.get(path, headers={"host": host})).status_code == 200
