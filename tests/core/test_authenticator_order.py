"""Several authenticators at once: they are tried in config order, and each one knows its own kind."""

import itertools

import pytest

from chatrack.interfaces import generate_api_key, hash_api_key
from tests.core.test_signed_header_auth import SECRET as GATEWAY
from tests.core.test_signed_header_auth import SIGNATURE
from tests.core.test_signed_header_auth import signed as by_gateway
from tests.support.auth import assert_refused, auth_config, bearer, install_who, list_threads, who_is
from tests.support.serving import serving
from tests.support.tokens import SECRET, claims, token

pytestmark = pytest.mark.usefixtures("made_tables")

KEY = generate_api_key()
KINDS = ("jwt_auth", "api_keys_auth", "session_auth", "signed_header_auth")
SCHEMES = {"jwt_auth": "Bearer", "api_keys_auth": "Bearer", "signed_header_auth": "Chatrack-Signature"}
TICKETS = """
class Tickets(chatrack.Authenticator):
    scheme = "Ticket"
    async def authenticate(self, connection):
        token = chatrack.bearer_token(connection)
        if token is None:
            return None
        return User(id=f"any {token[:4]}")

class Nobody(chatrack.Authenticator):
    scheme = "Ticket"
    async def authenticate(self, connection):
        return None
"""
"""An authenticator that accepts every bearer token, and one that knows none."""


@pytest.fixture(autouse=True)
def site(site):
    install_who(site)
    site.install(
        "any_bearer",
        "@hookimpl\ndef authenticators(self):\n    return [Nobody(), Tickets()]",
        head=TICKETS,
    )
    return site


@pytest.fixture
def configure(write_config):
    """Write the config of a server with some authenticators, in that order."""

    def configure_with(*kinds):
        tables = f"""
[plugins.jwt_auth]
secret = "{SECRET}"
[plugins.api_keys_auth]
keys = [{{ hash = "{hash_api_key(KEY)}", user = "script" }}]
[plugins.signed_header_auth]
secret = "{GATEWAY}"
"""
        return write_config(
            auth_config(*kinds, plugins=tables, server=f'secret_key = "{"0123456789abcdef" * 2}"')
        )

    return configure_with


@pytest.mark.parametrize("order", list(itertools.permutations(KINDS))[::5])
async def test_every_kind_is_let_in_whatever_the_order(order, configure):
    async with serving(configure(*order)) as chat:
        challenge = list(dict.fromkeys(SCHEMES[kind] for kind in order if kind in SCHEMES))
        started = await chat.http.post("/auth/session", headers=bearer(token(claims(sub="page"))))
        value = started.cookies["chatrack_session"]
        chat.http.cookies.clear()
        cookie = {"cookie": f"chatrack_session={value}"}
        for headers, user in (
            (bearer(token(claims())), "alice"),
            (bearer(KEY), "script"),
            (by_gateway({"id": "employee"}), "employee"),
            (cookie, "page"),
        ):
            assert (await who_is(chat.http, headers))["id"] == user
        bad_gateway = {**by_gateway(), SIGNATURE: "v1=00"}
        for headers in (
            {},
            bearer(token(claims(exp=1))),
            bearer(generate_api_key()),
            bearer("opaque"),
            bearer("cks_secret"),
            {"authorization": "Basic eDp5"},
            {"cookie": "chatrack_session=bad"},
            bad_gateway,
        ):
            assert_refused(await list_threads(chat.http, headers), *challenge)


async def test_the_first_kind_that_is_present_counts(configure):
    both = {**bearer(token(claims())), **by_gateway({"id": "employee"})}
    async with serving(configure("jwt_auth", "signed_header_auth")) as chat:
        assert (await who_is(chat.http, both))["id"] == "alice"
    async with serving(configure("signed_header_auth", "jwt_auth")) as chat:
        assert (await who_is(chat.http, both))["id"] == "employee"


async def test_bad_credentials_are_refused_at_once_though_others_are_good(configure):
    bad_token, bad_gateway = bearer(token(claims(exp=1))), {**by_gateway(), SIGNATURE: "v1=00"}
    async with serving(configure("jwt_auth", "signed_header_auth")) as chat:
        assert_refused(
            await list_threads(chat.http, {**bad_token, **by_gateway()}), "Bearer", "Chatrack-Signature"
        )
        assert (await list_threads(chat.http, {**bearer(token(claims())), **bad_gateway})).status_code == 200
    async with serving(configure("signed_header_auth", "jwt_auth")) as chat:
        assert_refused(
            await list_threads(chat.http, {**bearer(token(claims())), **bad_gateway}),
            "Chatrack-Signature",
            "Bearer",
        )


async def test_a_bad_token_is_refused_though_a_later_authenticator_would_accept_it(configure):
    async with serving(configure("jwt_auth", "api_keys_auth", "any_bearer")) as chat:
        for bad in (token(claims(exp=1)), "a.b.c", generate_api_key()):
            assert_refused(await list_threads(chat.http, bearer(bad)), "Bearer", "Ticket")
        for other in ("opaque", "a.b", "a.b.c.d", "cks_secret"):
            assert (await who_is(chat.http, bearer(other)))["id"] == f"any {other[:4]}"
    async with serving(configure("any_bearer", "jwt_auth")) as chat:
        assert (await who_is(chat.http, bearer("a.b.c")))["id"] == "any a.b."
        assert_refused(await list_threads(chat.http), "Ticket", "Bearer")


async def test_with_cookies_only_the_challenge_is_still_a_scheme(configure):
    async with serving(configure("session_auth")) as chat:
        assert_refused(await list_threads(chat.http), "Bearer")
