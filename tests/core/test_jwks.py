"""`jwt_auth` with the keys of an issuer that rotates them, goes away and comes back."""

import asyncio
import base64
import contextlib
import json
import time

import pytest

from chatrack.builtin.jwt.keys import MAX_SIZE, MIN_INTERVAL, REFRESH_INTERVAL
from tests.support.auth import assert_refused, auth_config, bearer, list_threads
from tests.support.clock import advance, run_what_is_ready
from tests.support.issuer import http_answer, issuing, private_jwk, public_jwk
from tests.support.serving import serving
from tests.support.tokens import SECRET, claims, part, private_key, token
from tests.support.waiting import until

CONCURRENT = 30


pytestmark = pytest.mark.usefixtures("made_tables", "who")


@pytest.fixture
async def issuer():
    async with issuing() as running_issuer:
        yield running_issuer


class Server:
    """A server that verifies with published keys, and the clock of these."""

    def __init__(self, chat):
        self.http = chat.http
        self.keys = chat.server.assembly.authenticators[0]._keys
        self._now = time.monotonic()
        self.keys._clock = lambda: self._now

    def wait(self, seconds):
        """Let time pass for the bound on loads."""
        self._now += seconds

    async def status(self, signed):
        """Send a token and return the status."""
        return (await list_threads(self.http, bearer(signed))).status_code

    async def loaded(self):
        """Wait until no load is going on."""
        await until(lambda: self.keys._loaded_at is not None and self.keys._loading is None)

    async def refresh(self, issuer):
        """Let the time of the next refresh come, and wait until it is done."""
        before = issuer.loads
        await run_what_is_ready()  # until it waits for the next refresh
        advance(REFRESH_INTERVAL + 1)
        await until(lambda: issuer.loads > before)
        await self.loaded()


@pytest.fixture
def serve(issuer, write_config):
    """Serve with the keys of the issuer."""

    @contextlib.asynccontextmanager
    async def serve_with(algorithms=("ES256",)):
        table = f'[plugins.jwt_auth]\njwks_url = "{issuer.url}"\nalgorithms = {json.dumps(list(algorithms))}'
        async with serving(write_config(auth_config("jwt_auth", plugins=table))) as chat:
            server = Server(chat)
            await server.loaded()
            server.wait(0)
            yield server

    return serve_with


async def test_tokens_of_published_keys_are_let_in_and_others_are_not(issuer, serve):
    async with serve() as server:
        assert await server.status(issuer.sign("one")) == 200
        assert await server.status(issuer.sign("two")) == 200
        stolen_id = token(claims(), private_key("ES256", "evil"), "ES256", kid="one")
        assert_refused(await list_threads(server.http, bearer(stolen_id)))
        other_id = token(claims(), private_key("ES256", "one"), "ES256", kid="two")
        assert_refused(await list_threads(server.http, bearer(other_id)))
        assert issuer.loads == 1


async def test_an_unknown_key_id_loads_the_keys_once(issuer, serve):
    async with serve() as server:
        issuer.publish("two", "three")
        server.wait(MIN_INTERVAL)
        assert await server.status(issuer.sign("three")) == 200
        assert await server.status(issuer.sign("three", sub="bob")) == 200
        assert await server.status(issuer.sign("two")) == 200
        assert issuer.loads == 2
        assert_refused(await list_threads(server.http, bearer(issuer.sign("one"))))


async def test_unknown_key_ids_load_at_most_once_in_an_interval(issuer, serve):
    async with serve() as server:
        for number in range(20):
            assert await server.status(issuer.sign(f"unknown-{number % 2}", jti=str(number))) == 401
        assert issuer.loads == 1
        server.wait(MIN_INTERVAL)
        for number in range(20):
            assert await server.status(issuer.sign(f"unknown-{number % 2}", jti=str(number))) == 401
        assert issuer.loads == 2
        assert await server.status(issuer.sign("one")) == 200


async def test_tokens_that_could_not_be_valid_anyway_load_nothing(issuer, serve):
    async with serve() as server:
        server.wait(MIN_INTERVAL)
        for signed in (
            issuer.sign("unknown", "ES384"),
            token(claims(), kid="unknown"),
            token(claims(), "", alg="none", kid="unknown"),
            token("[]", private_key("ES256", "x"), "ES256", kid="unknown"),
        ):
            assert await server.status(signed) == 401
        assert issuer.loads == 1


async def test_many_requests_at_once_cause_one_load(issuer, serve):
    async with serve() as server:
        issuer.publish("three")
        issuer.hold()
        server.wait(MIN_INTERVAL)
        tokens = [issuer.sign("three", jti=str(number)) for number in range(CONCURRENT)]
        requests = [asyncio.create_task(server.status(signed)) for signed in tokens]
        await until(lambda: issuer.loads == 2)
        assert not any(request.done() for request in requests)
        issuer.release()
        assert await asyncio.gather(*requests) == [200] * CONCURRENT
        assert issuer.loads == 2


async def test_a_request_that_is_given_up_does_not_take_the_load_from_the_others(issuer, serve):
    async with serve() as server:
        issuer.publish("three")
        issuer.hold()
        server.wait(MIN_INTERVAL)
        first = asyncio.create_task(server.status(issuer.sign("three")))
        await until(lambda: issuer.loads == 2)
        second = asyncio.create_task(server.status(issuer.sign("three", sub="bob")))
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        issuer.release()
        assert await second == 200
        assert issuer.loads == 2


async def test_keys_survive_while_the_issuer_is_down(issuer, serve):
    async with serve() as server:
        signed = issuer.sign("one")
        await issuer.stop()
        for _ in range(3):
            server.wait(MIN_INTERVAL)
            assert await server.status(issuer.sign("three")) == 401
            assert await server.status(signed) == 200
            assert await server.status(issuer.sign("two", jti="fresh")) == 200
        issuer.publish("three")
        await issuer.start()
        server.wait(MIN_INTERVAL)
        assert await server.status(issuer.sign("three")) == 200
        assert await server.status(signed) == 401


async def test_a_withdrawn_key_is_forgotten_at_the_next_refresh(issuer, serve):
    async with serve() as server:
        withdrawn, kept = issuer.sign("one"), issuer.sign("two")
        assert [await server.status(signed) for signed in (withdrawn, kept)] == [200, 200]
        issuer.publish("two")
        await server.refresh(issuer)
        assert_refused(await list_threads(server.http, bearer(withdrawn)))
        assert await server.status(kept) == 200


async def test_a_key_that_was_replaced_under_its_id_is_forgotten(issuer, serve):
    async with serve() as server:
        old = issuer.sign("one")
        assert await server.status(old) == 200
        issuer.keys = [public_jwk(private_key("ES256", "new"), "ES256", kid="one")]
        await server.refresh(issuer)
        assert_refused(await list_threads(server.http, bearer(old)))
        assert await server.status(token(claims(), private_key("ES256", "new"), "ES256", kid="one")) == 200


async def test_refreshing_goes_on_after_a_failure(issuer, serve):
    async with serve() as server:
        issuer.answer = http_answer(b"sorry", "500 Internal Server Error")
        await server.refresh(issuer)
        assert await server.status(issuer.sign("one")) == 200
        issuer.answer = None
        issuer.publish("three")
        await server.refresh(issuer)
        assert await server.status(issuer.sign("three")) == 200
        assert await server.status(issuer.sign("one")) == 401


async def test_without_any_keys_the_answer_is_503_with_retry_after(issuer, serve):
    await issuer.stop()
    async with serve() as server:
        response = await list_threads(server.http, bearer(issuer.sign("one")))
        assert response.status_code == 503
        assert response.headers["content-type"].startswith("application/problem+json")
        assert int(response.headers["retry-after"]) == MIN_INTERVAL
        assert issuer.url not in response.text
        assert_refused(await list_threads(server.http))
        assert_refused(await list_threads(server.http, bearer("a.b.c")))
        await issuer.start()
        server.wait(MIN_INTERVAL)
        assert await server.status(issuer.sign("one")) == 200


async def test_an_issuer_that_does_not_answer_is_given_up(issuer, serve, monkeypatch):
    async with serve() as server:
        issuer.hold()
        server.wait(MIN_INTERVAL)
        request = asyncio.create_task(server.status(issuer.sign("three")))
        await until(lambda: issuer.loads == 2)
        assert await server.status(issuer.sign("one")) == 200  # known keys need not wait
        advance(6)
        assert await request == 401
        issuer.release()


def _member(**changes):
    return public_jwk(private_key("ES256", "three"), "ES256", kid="three", **changes)


BAD_ANSWERS = {
    "garbage": http_answer(b"<html>not JSON</html>"),
    "nothing": http_answer(b""),
    "not UTF-8": http_answer(b'{"keys": "\xff"}'),
    "no HTTP": b"hello\r\n\r\n",
    "cut off": http_answer(b"{}" * 20)[:-10],
    "closed at once": b"",
    "huge": http_answer(b" " * (MAX_SIZE + 1)),
    "deeply nested": http_answer(b"[" * 100_000),
    "500": http_answer(b'{"keys": []}', "500 Internal Server Error"),
    "404": http_answer(b"", "404 Not Found"),
    "a redirect": http_answer(b"", "302 Found", ["location: /elsewhere"]),
    "broken compression": http_answer(b"no gzip", headers=["content-encoding: gzip"]),
    **{
        f"JSON {text}": http_answer(text.encode())
        for text in (
            "[]", "null", "5", '"keys"', "{}", '{"keys": null}', '{"keys": 5}', '{"keys": "x"}', '{"keys": {}}',
            '{"keys": true}', '{"keys": []}', '{"keys": [5, null, "x", [], {}]}', '{"keys": [{"kty": "EC"}]}',
            '{"keys": [{"kty": ["EC"]}]}', '{"keys": [{"kty": {}, "use": []}]}', '{"keys": [{"kty": "RSA", "n": 5, "e": []}]}',
            '{"keys": [{"kty": "RSA", "n": "", "e": ""}]}', '{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}',
            '{"keys": [{"kty": "EC", "crv": [], "x": 1, "y": null}]}',
            '{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}',
            '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "\\u00e4"}]}',
            '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": {}}]}',
        )
    },
    **{
        f"a key with {name}": http_answer(json.dumps({"keys": [_member(**change)]}).encode())
        for name, change in {
            "alg as list": {"alg": ["ES256"]},
            "alg as object": {"alg": {}},
            "another alg": {"alg": "ES384"},
            "a curve that does not fit": {"crv": "P-384"},
            "x of another point": {"x": part(b"\1" * 32)},
            "use enc": {"use": "enc"},
            "use null": {"use": []},
            "key_ops to encrypt": {"key_ops": ["encrypt"]},
            "key_ops as number": {"key_ops": 5},
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_a_bad_answer_of_the_issuer_changes_nothing(name, issuer, serve):
    async with serve() as server:
        issuer.answer = BAD_ANSWERS[name]
        server.wait(MIN_INTERVAL)
        assert_refused(await list_threads(server.http, bearer(issuer.sign("three"))))
        assert await server.status(issuer.sign("one")) == 200
        await server.refresh(issuer)
        issuer.answer = None
        issuer.publish("three")
        await server.refresh(issuer)
        assert await server.status(issuer.sign("three")) == 200


@pytest.mark.parametrize("name", ["garbage", "no HTTP", "a redirect", 'JSON {"keys": 5}', "deeply nested"])
async def test_a_bad_answer_at_the_start_is_503_until_there_is_a_good_one(name, issuer, serve):
    issuer.answer = BAD_ANSWERS[name]
    async with serve() as server:
        assert await server.status(issuer.sign("one")) == 503
        issuer.answer = None
        assert await server.status(issuer.sign("one")) == 503  # it is asked again after the interval
        server.wait(MIN_INTERVAL)
        assert await server.status(issuer.sign("one")) == 200


async def test_a_redirect_is_not_followed(issuer, serve):
    issuer.answer = BAD_ANSWERS["a redirect"]
    async with serve() as server:
        assert await server.status(issuer.sign("one")) == 503
        assert issuer.loads == 1


async def test_keys_that_do_not_verify_are_never_used(issuer, serve):
    encoded = base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("=")
    issuer.keys += [
        {"kty": "oct", "k": encoded, "kid": "oct", "alg": "HS256", "use": "sig"},
        {"kty": "oct", "k": encoded, "kid": "oct-for-ES256", "alg": "ES256", "use": "sig"},
        {"kty": "oct", "k": encoded, "kid": "oct-for-any"},
        private_jwk(private_key("ES256", "private"), "ES256", kid="private"),
        public_jwk(private_key("ES256", "enc"), "ES256", kid="enc", use="enc"),
        public_jwk(private_key("ES256", "ops"), "ES256", kid="ops", use=None, key_ops=["sign"]),
    ]
    async with serve() as server:
        for key_id in ("oct", "oct-for-ES256", "oct-for-any"):
            assert await server.status(token(claims(), kid=key_id)) == 401
            assert await server.status(token(claims(), header={"alg": "ES256", "kid": key_id})) == 401
        for key_id in ("private", "enc", "ops"):
            assert await server.status(issuer.sign(key_id)) == 401
        assert await server.status(issuer.sign("one")) == 200


async def test_a_key_is_used_with_its_own_algorithm_only(issuer, serve):
    rsa = private_key("RS256")
    issuer.keys = [public_jwk(rsa, "RS256", kid="a"), public_jwk(rsa, "RS256", kid="any", alg=None)]
    async with serve(["RS256", "RS512", "ES256"]) as server:
        assert await server.status(token(claims(), rsa, "RS256", kid="a")) == 200
        assert await server.status(token(claims(), rsa, "RS512", kid="a")) == 401
        assert await server.status(token(claims(), rsa, "RS512", kid="any")) == 200
        assert await server.status(token(claims(), rsa, "RS256", kid="any")) == 200
        assert (
            await server.status(token(claims(), rsa, "RS256", header={"alg": "ES256", "kid": "any"})) == 401
        )


async def test_a_token_without_key_id_needs_a_set_with_one_key_for_its_algorithm(issuer, serve):
    def without_id(name, algorithm="ES256"):
        return token(claims(), private_key(algorithm, name), algorithm)

    async with serve(["ES256", "EdDSA"]) as server:
        assert await server.status(without_id("one")) == 401  # there are two
        issuer.keys = [
            public_jwk(private_key("ES256", "one"), "ES256", kid="one"),
            public_jwk(private_key("EdDSA", "two"), "EdDSA", kid="two"),
        ]
        await server.refresh(issuer)
        assert await server.status(without_id("one")) == 200
        assert await server.status(without_id("two", "EdDSA")) == 200
        assert await server.status(without_id("two")) == 401


async def test_a_key_without_id_verifies_tokens_without_id(issuer, serve):
    issuer.keys = [public_jwk(private_key("ES256", "one"), "ES256")]
    async with serve() as server:
        assert await server.status(token(claims(), private_key("ES256", "one"), "ES256")) == 200
        assert await server.status(issuer.sign("one")) == 401


async def test_a_server_stops_while_it_loads_keys(issuer, serve):
    async with serve() as server:
        issuer.hold()
        await run_what_is_ready()
        advance(REFRESH_INTERVAL + 1)
        await until(lambda: issuer.loads == 2)
        assert await server.status(issuer.sign("one")) == 200
    # that no task is left is checked when the server ends
