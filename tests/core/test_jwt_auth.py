"""`jwt_auth` over HTTP: exactly the valid tokens are let in, and a refusal does not tell which check failed."""

import base64
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.auth import assert_refused, auth_config, bearer, install_who, list_threads, who_is
from tests.support.serving import serving
from tests.support.tokens import SECRET, claims, part, private_key, public_pem, token

pytestmark = pytest.mark.usefixtures("made_tables")

ISSUER, AUDIENCE = "https://issuer.example", "chatrack"
HOUR = 3600

SHORT_SECRET = "x" * 32

SETTINGS = {
    "plain": f'secret = "{SECRET}"',
    "strict": f"""
secret = "{SECRET}"
algorithms = ["HS256", "HS384", "HS512"]
issuer = "{ISSUER}"
audience = ["{AUDIENCE}", "chatrack-two"]
leeway = 300
tenant_claim = "tenant"
""",
    "shortest": f'secret = "{SHORT_SECRET}"\nalgorithms = ["HS256", "HS384", "HS512"]',
    "nested": f"""
secret = "{SECRET}"
user_claim = "https://example.com/user.id"
tenant_claim = "org.id"
roles_claim = "realm_access.roles"
name_claim = "profile.name"
""",
    "RS256": 'algorithms = ["RS256"]',
    "RS384": 'algorithms = ["RS384", "RS512"]',
    "ES256": 'algorithms = ["ES256"]',
    "ES384": 'algorithms = ["ES384"]',
    "ES512": 'algorithms = ["ES512"]',
    "EdDSA": 'algorithms = ["EdDSA"]',
}
"""The tables of the servers, by name. Those without a secret get the public key of their name."""


def strict(payload_changes=None, **options):
    """Return a token for the server `strict`."""
    payload = {"iss": ISSUER, "aud": AUDIENCE, "tenant": "acme", **(payload_changes or {})}
    return token(claims(**payload), **options)


def raw_claims(text, **changes):
    """Return claims as JSON with a text in front of them, for what `json.dumps` does not write."""
    return "{" + text + ", " + json.dumps(claims(**changes))[1:]


def changed(text, index):
    """Return a text with another character of base64url at a place."""
    return text[:index] + ("A" if text[index] != "A" else "Q") + text[index + 1 :]


def with_flipped_bit(signed):
    """Return a token whose signature differs in one bit."""
    head, _, signature = signed.rpartition(".")
    decoded = bytearray(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))
    decoded[7] ^= 1
    return f"{head}.{part(bytes(decoded))}"


def parts(signed, *, header=None, payload=None, signature=None):
    """Return a token with some of its parts replaced."""
    old = signed.split(".")
    new = (header, payload, signature)
    return ".".join(second if second is not None else first for first, second in zip(old, new, strict=True))


NOT_JSON = part("{alg}")
USER_CLAIM = "https://example.com/user.id"


def valid_tokens():
    """Return the tokens that are let in, by server and name."""
    now, rsa = int(time.time()), private_key("RS256")
    return {
        "strict": {
            "HS256": strict(),
            "HS384": strict(algorithm="HS384"),
            "HS512": strict(algorithm="HS512"),
            "without typ": strict(typ=None),
            "with typ at+jwt": strict(typ="at+jwt"),
            "with a key id": strict(kid="any"),
            "expired within leeway": strict({"exp": now - 1}),
            "not yet valid within leeway": strict({"nbf": now + 50}),
            "issued in the future within leeway": strict({"iat": now + 50}),
            "exp as a fraction": strict({"exp": now + HOUR + 0.5}),
            "exp far away": strict({"exp": 32503680000}),
            "audience list with ours": strict({"aud": ["other", AUDIENCE]}),
            "the other audience": strict({"aud": "chatrack-two"}),
            "tenant of 255 characters": strict({"tenant": "t" * 255}),
            "user of 255 characters": strict({"sub": "u" * 255}),
            "ids beyond ASCII": strict({"sub": "ünï 🦊", "tenant": "中"}),
            "name that is no text": strict({"name": 5, "email": [], "locale": {}}),
            "roles as text": strict({"roles": "admin  billing"}),
            "roles as list": strict({"roles": ["admin"]}),
        },
        "plain": {
            "any issuer and audience": token(claims(iss="whoever", aud="whatever")),
            "no issuer and no audience": token(claims()),
            "a claim tenant that means nothing": token(claims(tenant=5)),
        },
        "shortest": {name: token(claims(), SHORT_SECRET, name) for name in ("HS256", "HS384", "HS512")},
        "nested": {
            "paths": token(
                claims(**{USER_CLAIM: "bob"}, org={"id": "acme"}, realm_access={"roles": ["a", "b"]})
            ),
            "a name with dots before the path": token(
                claims(**{USER_CLAIM: "bob", "org.id": "acme"}, org={"id": "other"})
            ),
        },
        "RS256": {"RS256": token(claims(), rsa, "RS256")},
        "RS384": {name: token(claims(), private_key("RS384"), name) for name in ("RS384", "RS512")},
        "ES256": {"ES256": token(claims(), private_key("ES256"), "ES256")},
        "ES384": {"ES384": token(claims(), private_key("ES384"), "ES384")},
        "ES512": {"ES512": token(claims(), private_key("ES512"), "ES512")},
        "EdDSA": {"EdDSA": token(claims(), private_key("EdDSA"), "EdDSA")},
    }


def invalid_tokens():
    """Return the tokens that are refused, by server and name."""
    now, rsa, other_rsa = int(time.time()), private_key("RS256"), private_key("RS256", "other")
    return {
        "strict": {
            "expired": strict({"exp": now - HOUR}),
            "expired beyond leeway": strict({"exp": now - 350}),
            "not yet valid": strict({"nbf": now + HOUR}),
            "issued in the future": strict({"iat": now + HOUR}),
            "nbf as text": strict({"nbf": str(now - HOUR)}),
            "iat as text": strict({"iat": str(now - HOUR)}),
            "iat as a boolean": strict({"iat": True}),
            "wrong issuer": strict({"iss": "https://evil.example"}),
            "issuer with a slash more": strict({"iss": ISSUER + "/"}),
            "missing issuer": strict({"iss": None}),
            "issuer as list": strict({"iss": [ISSUER]}),
            "wrong audience": strict({"aud": "other"}),
            "audience that contains ours": strict({"aud": f"{AUDIENCE}-x"}),
            "missing audience": strict({"aud": None}),
            "empty audience": strict({"aud": ""}),
            "audience list without ours": strict({"aud": ["other", "another"]}),
            "audience list with a number": strict({"aud": [AUDIENCE, 5]}),
            "audience as object": strict({"aud": {AUDIENCE: True}}),
            **{f"alg {name}": strict(key="", alg=name) for name in ("none", "None", "NONE", "nOnE", "")},
            **{f"alg {name} with a signature": strict(alg=name) for name in ("none", "None", "NONE")},
            "alg missing": strict(alg=None),
            "alg as list": strict(alg=["HS256"]),
            "alg as object": strict(alg={"HS256": 1}),
            "alg as number": strict(alg=256),
            "alg in lower case": strict(alg="hs256"),
            "signed in another way than said": strict(alg="HS512"),
            "another secret": strict(key="b" * 40),
            "the empty secret": strict(key=b""),
            "signature missing": parts(strict(), signature=""),
            "signature of another token": parts(strict(), signature=strict({"sub": "bob"}).split(".")[2]),
            "signature changed by one bit": with_flipped_bit(strict()),
            "signature with padding bits": changed(strict(), -1),
            "truncated": strict()[:-10],
            "truncated in the payload": strict()[:60] + "." + strict()[-43:],
            "payload changed": parts(
                strict(), payload=part(claims(sub="bob", iss=ISSUER, aud=AUDIENCE, tenant="acme"))
            ),
            "header changed": parts(strict(), header=part({"alg": "HS256", "kid": "x"})),
            "payload of another alphabet": parts(strict(), payload=strict().split(".")[1] + "+/"),
            "junk in the signature": strict() + "!!",
            "a line feed's escape in the payload": strict({"sub": "alice\n"}),
            "header twice": f"{strict().split('.')[0]}.{strict()}",
            "five parts": ".".join(["e30"] * 5),
            "five parts of an encrypted token": f"{part({'alg': 'dir', 'enc': 'A256GCM'})}..a.b.c",
            "two parts": strict().rpartition(".")[0],
            "one part": strict().replace(".", ""),
            "empty parts": "..",
            "beyond ASCII": "ä.ö.ü".encode("latin-1"),
            "header not JSON": parts(strict(), header=NOT_JSON),
            "header not base64": parts(strict(), header="????"),
            "header not UTF-8": parts(strict(), header=part(b"\xff\xfe\xfd")),
            "header a list": parts(strict(), header=part([{"alg": "HS256"}])),
            "huge": strict({"padding": "x" * 16_384}),
            "duplicate claims in payload": token(
                raw_claims('"sub": "bob"', iss=ISSUER, aud=AUDIENCE, tenant="acme")
            ),
            "duplicate tenant in payload": token(
                raw_claims('"tenant": "other"', iss=ISSUER, aud=AUDIENCE, tenant="acme")
            ),
            "duplicate claims deep in payload": token(
                raw_claims('"x": {"a": 1, "a": 1}', iss=ISSUER, aud=AUDIENCE, tenant="acme")
            ),
            "duplicate claims in other escapes": token(
                raw_claims('"su\\u0062": "bob"', iss=ISSUER, aud=AUDIENCE, tenant="acme")
            ),
            "duplicate alg in header": strict(header='{"alg": "none", "alg": "HS256"}'),
            "crit": strict(crit=["exp"]),
            "crit that is known to some": strict(crit=["b64"], b64=True),
            "crit empty": strict(crit=[]),
            "payload not encoded": strict(b64=False),
            "key id as number": strict(kid=5),
            "key id as list": strict(kid=[]),
            "missing exp": strict({"exp": None}),
            "exp null": token(raw_claims('"exp": null', exp=None, iss=ISSUER, aud=AUDIENCE, tenant="acme")),
            "exp as text": strict({"exp": str(now + HOUR)}),
            "exp as list": strict({"exp": [now + HOUR]}),
            "exp as a boolean": strict({"exp": True}),
            "exp negative": strict({"exp": -1}),
            "exp in milliseconds after the year 9999": strict({"exp": 10**15}),
            "exp as 1e300": strict({"exp": 1e300}),
            **{
                f"exp as {number}": token(
                    raw_claims(f'"exp": {number}', exp=None, iss=ISSUER, aud=AUDIENCE, tenant="acme")
                )
                for number in ("NaN", "Infinity", "1e400", "9" * 5000)
            },
            "NaN elsewhere": token(raw_claims('"x": NaN', iss=ISSUER, aud=AUDIENCE, tenant="acme")),
            "deep header": strict(header='{"alg": "HS256", "x": ' + "[" * 5000 + "]" * 5000 + "}"),
            "deep payload": token('{"x": ' + "[" * 5000 + "]" * 5000 + "}"),
            "payload a list": token("[]"),
            "payload a text": token('"alice"'),
            "payload null": token("null"),
            "payload empty": token(""),
            "payload not UTF-8": token(b'{"sub": "\xff"}'),
            "tenant missing": strict({"tenant": None}),
            "tenant null": token(raw_claims('"tenant": null', iss=ISSUER, aud=AUDIENCE)),
            **{
                f"{claim} {name}": strict({claim: value})
                for claim in ("tenant", "sub")
                for name, value in {
                    "empty": "",
                    "number": 5,
                    "boolean": True,
                    "list": ["acme"],
                    "object": {"id": "acme"},
                    "with NUL": "a\0b",
                    "with DEL": "a\x7f",
                    "of 256 characters": "a" * 256,
                    "lone surrogate": "a\ud800",
                }.items()
            },
            "user missing": strict({"sub": None}),
            "lone surrogate in the name": strict({"name": "\udfff"}),
            "roles as number": strict({"roles": 5}),
            "roles with a number": strict({"roles": ["admin", 5]}),
            "roles as object": strict({"roles": {"admin": True}}),
        },
        "plain": {
            "expired a second ago": token(claims(exp=now - 1)),
            "algorithm not listed": token(claims(), algorithm="HS384"),
            "an asymmetric algorithm": token(claims(), rsa, "RS256"),
            "user id in a list": token(claims(sub=["alice"])),
        },
        "nested": {
            "no user claim": token(claims(org={"id": "acme"})),
            "tenant path into a text": token(claims(**{USER_CLAIM: "bob"}, org="acme")),
            "tenant path into a list": token(claims(**{USER_CLAIM: "bob"}, org=[{"id": "acme"}])),
            "tenant path not to the end": token(claims(**{USER_CLAIM: "bob"}, org={"id": {"id": "acme"}})),
            "null by its exact name": token(
                raw_claims('"org.id": null', **{USER_CLAIM: "bob"}, org={"id": "acme"})
            ),
        },
        "RS256": {
            "HS256 with the public key's PEM": token(claims(), public_pem(rsa)),
            "HS256 with the public key's PEM without its end": token(claims(), public_pem(rsa).strip()),
            "RS256 by HMAC with the public key's PEM": token(
                claims(), public_pem(rsa), header={"alg": "RS256"}
            ),
            "none": token(claims(), "", alg="none"),
            "algorithm not listed": token(claims(), rsa, "RS512"),
            "another key": token(claims(), other_rsa, "RS256"),
            "another key that the header brings along": token(
                claims(),
                other_rsa,
                "RS256",
                jku="http://127.0.0.1:1/",
                x5u="http://127.0.0.1:1/",
                jwk={"kty": "oct"},
            ),
            "a secret": token(claims()),
        },
        "ES256": {
            "the zero signature": parts(
                token(claims(), private_key("ES256"), "ES256"), signature=part(bytes(64))
            ),
            "a signature of another length": parts(
                token(claims(), private_key("ES256"), "ES256"), signature=part(bytes(10))
            ),
            "another curve": token(claims(), private_key("ES384"), "ES384", alg="ES256"),
        },
        "EdDSA": {
            "the zero signature": parts(
                token(claims(), private_key("EdDSA"), "EdDSA"), signature=part(bytes(64))
            )
        },
    }


@pytest.fixture
def site(site):
    install_who(site)
    return site


@pytest.fixture
def configure(site, write_config):
    """Write the config of a server that is named in `SETTINGS`."""

    def configure_for(name):
        table = f"[plugins.jwt_auth]\n{SETTINGS[name]}\n"
        if "secret" not in table:
            table += f"public_key = '''{public_pem(private_key(name))}'''\n"
        table += "[limits]\nauth_failures = 0\n"  # more invalid tokens than a minute allows are tried here
        return write_config(auth_config("jwt_auth", plugins=table))

    return configure_for


def test_the_table_has_many_tokens_and_all_of_them_differ():
    tokens = [
        (server, signed)
        for table in (valid_tokens(), invalid_tokens())
        for server, cases in table.items()
        for signed in cases.values()
    ]
    assert len(tokens) >= 100
    assert len(set(tokens)) == len(tokens)


@pytest.mark.parametrize("server", SETTINGS)
async def test_exactly_the_valid_tokens_are_let_in(server, configure):
    valid, invalid = valid_tokens()[server], invalid_tokens().get(server, {})
    async with serving(configure(server)) as chat:
        for _ in range(2):  # what has been verified is remembered
            statuses = {
                name: (
                    await list_threads(chat.http, {b"authorization": b"Bearer " + _bytes(signed)})
                ).status_code
                for name, signed in {**valid, **invalid}.items()
            }
            assert statuses == {**dict.fromkeys(valid, 200), **dict.fromkeys(invalid, 401)}


@pytest.mark.parametrize("server", ["strict", "plain", "nested", "RS256", "ES256", "EdDSA"])
async def test_a_refusal_does_not_tell_which_check_failed(server, configure):
    async with serving(configure(server)) as chat:
        for signed in invalid_tokens()[server].values():
            assert_refused(await list_threads(chat.http, {b"authorization": b"Bearer " + _bytes(signed)}))
        assert_refused(await list_threads(chat.http))


def _bytes(signed):
    return signed if isinstance(signed, bytes) else signed.encode()


async def test_the_scheme_may_be_in_any_case_and_spaces_around_the_token_do_not_count(configure):
    async with serving(configure("plain")) as chat:
        signed = token(claims())
        for value in (f"bearer {signed}", f"BEARER {signed}", f"Bearer   {signed}"):
            assert (await list_threads(chat.http, {"authorization": value})).status_code == 200, value


async def test_other_forms_of_the_header_are_refused(configure):
    async with serving(configure("plain")) as chat:
        signed = token(claims())
        values = [
            "", "Bearer", signed, f"Token {signed}", f"Basic {signed}", f"Bearer{signed}",
            f"Bearer\t{signed}", f"Bearer {signed} {signed}", f"Bearer {signed}, Bearer {signed}",
            f"Bearer x{signed}", f'Bearer "{signed}"', f"Bearer Bearer {signed}",
        ]  # fmt: skip
        for value in values:
            assert_refused(await list_threads(chat.http, {"authorization": value}))


async def test_several_authorization_headers_are_refused_even_if_all_are_valid(configure):
    async with serving(configure("plain")) as chat:
        valid = ("authorization", f"Bearer {token(claims())}")
        for others in ([valid], [("Authorization", "Basic eDp5")], [("authorization", "")]):
            assert_refused(await list_threads(chat.http, [valid, *others]))
            assert_refused(await list_threads(chat.http, [*others, valid]))


async def test_a_token_in_the_url_or_the_body_lets_nobody_in(configure):
    async with serving(configure("plain")) as chat:
        signed = token(claims())
        assert_refused(await list_threads(chat.http, params={"token": signed, "access_token": signed}))
        assert_refused(await chat.http.post("/chatkit/api", json={"access_token": signed}))
        assert_refused(await list_threads(chat.http, {"cookie": f"authorization={signed}; token={signed}"}))


async def test_claims_describe_the_user(configure):
    async with serving(configure("strict")) as chat:
        described = strict({"roles": "b a", "name": "Ann", "email": "ann@example.com", "locale": "de-AT"})
        assert await who_is(chat.http, bearer(described)) == {
            "id": "alice", "tenant_id": "acme", "roles": ["a", "b"], "name": "Ann", "email": "ann@example.com",
            "locale": "de-AT", "state": {},
        }  # fmt: skip
        bare = await who_is(chat.http, bearer(strict({"name": 5, "roles": ["x", "x"]})))
        assert (bare["name"], bare["roles"]) == (None, ["x"])


async def test_without_a_tenant_claim_all_users_are_of_the_default_tenant(configure):
    async with serving(configure("plain")) as chat:
        user = await who_is(chat.http, bearer(token(claims(tenant="acme", tenant_id="acme"))))
        assert user["tenant_id"] == "default"


async def test_claims_are_found_by_their_exact_name_and_then_as_a_path(configure):
    async with serving(configure("nested")) as chat:
        nested = claims(
            **{USER_CLAIM: "bob"}, org={"id": "acme"}, realm_access={"roles": ["a"]}, profile={"name": "Bob"}
        )
        user = await who_is(chat.http, bearer(token(nested)))
        assert (user["id"], user["tenant_id"], user["roles"], user["name"]) == ("bob", "acme", ["a"], "Bob")
        both = {**nested, "org.id": "exact", "realm_access.roles": "exact"}
        user = await who_is(chat.http, bearer(token(both)))
        assert (user["tenant_id"], user["roles"]) == ("exact", ["exact"])


async def test_a_token_that_was_let_in_before_is_refused_once_it_has_expired(configure, monkeypatch):
    async with serving(configure("plain")) as chat:
        signed = bearer(token(claims()))
        assert (await list_threads(chat.http, signed)).status_code == 200
        later = datetime.now(UTC) + timedelta(hours=2)
        monkeypatch.setattr("chatrack.http.auth_guard.now", lambda: later)
        assert_refused(await list_threads(chat.http, signed))
        monkeypatch.undo()


async def test_no_more_than_the_reason_of_a_refusal_is_logged(configure, caplog):
    caplog.set_level("DEBUG")
    async with serving(configure("strict")) as chat:
        expired, valid = strict({"exp": 1}), strict()
        for signed in (expired, strict(key="b" * 40), strict({"tenant": None})):
            assert_refused(await list_threads(chat.http, bearer(signed)))
        assert (await list_threads(chat.http, bearer(valid))).status_code == 200
    for secret in (SECRET, expired, expired.split(".")[1], valid.split(".")[2]):
        assert secret not in caplog.text


async def test_health_needs_no_token(configure):
    async with serving(configure("plain")) as chat:
        for path in ("/health", "/ready"):
            assert (await chat.http.get(path)).status_code == 200
