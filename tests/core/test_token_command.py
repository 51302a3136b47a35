"""`chatrack token`: tokens for development that the server accepts."""

import jwt
import pytest

from tests.support.auth import assert_refused, auth_config, bearer, list_threads, who_is
from tests.support.commands import mistake_of, run
from tests.support.serving import serving
from tests.support.tokens import SECRET, private_key, public_pem

pytestmark = pytest.mark.usefixtures("who")


@pytest.fixture
def configure(write_config):
    """Write the config of a server with `jwt_auth`."""

    def configure_with(lines, *others):
        return write_config(auth_config("jwt_auth", *others, plugins=f"[plugins.jwt_auth]\n{lines}"))

    return configure_with


def mint(path, *options):
    """Return the token that the command prints."""
    outcome = run("token", "--config", str(path), *options)
    assert outcome.code == 0, outcome.err
    assert SECRET not in outcome.out + outcome.err
    [line] = outcome.out.splitlines()
    return line


SETTINGS = {
    "defaults": f'secret = "{SECRET}"',
    "HS512": f'secret = "{SECRET}"\nalgorithms = ["HS512", "HS256"]',
    "issuer and audience": f"""
secret = "{SECRET}"
issuer = ["https://issuer.example", "other"]
audience = "chatrack"
""",
    "other claims": f"""
secret = "{SECRET}"
user_claim = "https://example.com/user.id"
tenant_claim = "org.id"
roles_claim = "realm_access.roles"
""",
}


@pytest.mark.parametrize("name", SETTINGS)
async def test_the_token_lets_its_user_in(name, configure):
    path = configure(SETTINGS[name])
    tenant = ["--tenant", "acme"] if "tenant_claim" in SETTINGS[name] else []
    minted = mint(path, "--user", "ünï", *tenant, "--role", "b", "--role", "a")
    plain = mint(path, "--user", "bob")
    async with serving(path) as chat:
        user = await who_is(chat.http, bearer(minted))
        assert (user["id"], user["roles"]) == ("ünï", ["a", "b"])
        assert user["tenant_id"] == ("acme" if tenant else "default")
        user = await who_is(chat.http, bearer(plain))
        assert (user["id"], user["tenant_id"], user["roles"]) == ("bob", "default", [])


def test_a_token_ends_after_the_hours_that_were_asked_for(configure):
    path = configure(f'secret = "{SECRET}"')
    for options, seconds in (((), 24 * 3600), (("--hours", "2"), 7200), (("--hours", "0.5"), 1800)):
        claims = jwt.decode(mint(path, "--user", "u", *options), options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == seconds


async def test_a_token_of_another_secret_is_refused(configure):
    minted = mint(configure('secret = "another-secret-of-more-than-32-bytes"'), "--user", "u")
    async with serving(configure(f'secret = "{SECRET}"')) as chat:
        assert_refused(await list_threads(chat.http, bearer(minted)))


def test_the_secret_may_come_from_the_environment(configure):
    outcome = run("token", "--config", str(configure("")), "--user", "u", env={"JWT_SECRET": SECRET})
    assert outcome.code == 0, outcome.err
    claims = jwt.decode(outcome.out.strip(), SECRET, algorithms=["HS256"])
    assert claims["sub"] == "u"


def test_other_authenticators_do_not_matter(configure):
    path = configure(f'secret = "{SECRET}"', "session_auth")
    assert mint(path, "--user", "u")


def pem():
    return f"algorithms = ['RS256']\npublic_key = '''{public_pem(private_key('RS256'))}'''"


@pytest.mark.parametrize(
    ("lines", "options", "says"),
    [
        (f'secret = "{SECRET}"', ["--tenant", "acme"], "tenant_claim"),
        ("", [], "plugins.jwt_auth"),
        ('secret = "short"', [], "plugins.jwt_auth.secret"),
        (pem, [], "secret"),
        ('algorithms = ["RS256"]\njwks_url = "http://127.0.0.1:1/"', [], "secret"),
        (f'secret = "{SECRET}"', ["--user", ""], "--user"),
        (f'secret = "{SECRET}"', ["--user", "u" * 256], "--user"),
        (f'secret = "{SECRET}"', ["--user", "a\nb"], "--user"),
        (f'secret = "{SECRET}"\ntenant_claim = "tenant"', ["--tenant", ""], "--tenant"),
        (f'secret = "{SECRET}"\ntenant_claim = "tenant"', ["--tenant", "a\x7f"], "--tenant"),
    ],
)
def test_a_token_that_cannot_be_made_is_one_plain_line(lines, options, says, configure):
    path = configure(lines() if callable(lines) else lines)
    outcome = run("token", "--config", str(path), "--user", "u", *options, env={"JWT_SECRET": None})
    assert says in mistake_of(outcome)
    assert outcome.out == ""


def test_without_jwt_auth_no_token_can_be_made(write_config):
    outcome = run("token", "--config", str(write_config(auth_config("session_auth"))), "--user", "u")
    assert "jwt_auth" in mistake_of(outcome)


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "1e9", "x"])
def test_hours_that_make_no_sense_are_refused(hours, configure):
    path = configure(f'secret = "{SECRET}"')
    outcome = run("token", "--config", str(path), "--user", "u", "--hours", hours)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
