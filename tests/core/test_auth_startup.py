"""Mistakes in the tables of authenticators stop start-up with one plain line that names the key, and no secret."""

import json
import os

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519

from chatrack.interfaces import hash_api_key
from tests.support.auth import auth_config
from tests.support.commands import mistake_of, run
from tests.support.tokens import SECRET, private_key, private_pem, public_pem

MARKER = "never-to-be-seen"
LONG = f"{MARKER}-{'x' * 40}"
URL = "https://issuer.example/jwks"
HASH = hash_api_key("ctk_one")


pytestmark = pytest.mark.usefixtures("who")


@pytest.fixture
def check(write_config):
    """Run `chatrack check` over a config."""

    def check_with(*authenticators, plugins="", server="", env=None):
        path = write_config(auth_config(*authenticators, plugins=plugins, server=server))
        return run("check", "--config", str(path), env={"JWT_SECRET": None, **(env or {})})

    return check_with


def pem(text):
    return f"public_key = '''{text}'''\n"


JWT_MISTAKES = {
    "a short secret": (f'secret = "{MARKER}-123456789abcde"', ["secret", "32 bytes"]),
    "nothing": ("", ["secret", "JWT_SECRET", "public_key", "jwks_url"]),
    "two": (lambda: f'secret = "{LONG}"\n{pem(public_pem(private_key("RS256")))}', ["exactly one"]),
    "two others": (lambda: f'jwks_url = "{URL}"\n{pem(public_pem(private_key("RS256")))}', ["exactly one"]),
    "all three": (
        lambda: f'secret = "{LONG}"\njwks_url = "{URL}"\n{pem(public_pem(private_key("RS256")))}',
        ["exactly one"],
    ),
    "a public key as secret": (
        lambda: f"secret = '''{public_pem(private_key('RS256'))}'''",
        ["secret", "public_key"],
    ),
    "HS with a public key": (
        lambda: f'algorithms = ["HS256"]\n{pem(public_pem(private_key("RS256")))}',
        ["algorithms", "HS256"],
    ),
    "HS beside RS with a public key": (
        lambda: f'algorithms = ["RS256", "HS256"]\n{pem(public_pem(private_key("RS256")))}',
        ["algorithms", "HS256"],
    ),
    "HS with jwks_url": (f'algorithms = ["HS512"]\njwks_url = "{URL}"', ["algorithms", "HS512"]),
    "RS with a secret": (f'algorithms = ["RS256"]\nsecret = "{LONG}"', ["algorithms", "RS256"]),
    "EdDSA beside HS with a secret": (
        f'algorithms = ["HS256", "EdDSA"]\nsecret = "{LONG}"',
        ["algorithms", "EdDSA"],
    ),
    "ES256 with an RSA key": (
        lambda: f'algorithms = ["ES256"]\n{pem(public_pem(private_key("RS256")))}',
        ["algorithms", "ES256", "public_key"],
    ),
    "ES384 with a P-256 key": (
        lambda: f'algorithms = ["ES384"]\n{pem(public_pem(private_key("ES256")))}',
        ["algorithms", "ES384"],
    ),
    "none": (f'algorithms = ["none"]\nsecret = "{LONG}"', ["algorithms", "HS256"]),
    "an unknown algorithm": (f'algorithms = ["PS256"]\njwks_url = "{URL}"', ["algorithms", "RS256"]),
    "algorithms missing": (lambda: pem(public_pem(private_key("RS256"))), ["algorithms", "required"]),
    "algorithms missing with jwks_url": (f'jwks_url = "{URL}"', ["algorithms", "required"]),
    "no algorithms": (f'algorithms = []\nsecret = "{LONG}"', ["algorithms"]),
    **{
        f"{name} as public_key": (make, ["public_key", "PEM"])
        for name, make in {
            "a private key": lambda: (
                f'algorithms = ["RS256"]\n{pem(private_pem(private_key("RS256")))}'
            ),
            "an EC private key": lambda: (
                f'algorithms = ["ES256"]\n{pem(private_pem(private_key("ES256")))}'
            ),
            "a text": f'algorithms = ["RS256"]\npublic_key = "{LONG}"',
            "an empty text": 'algorithms = ["RS256"]\npublic_key = ""',
            "a broken key": lambda: (
                f'algorithms = ["RS256"]\n{pem(public_pem(private_key("RS256")).replace("A", "B"))}'
            ),
            "a certificate without content": (
                'algorithms = ["RS256"]\n' + pem("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
            ),
        }.items()
    },
    **{
        f"a key of {name}": (make, ["public_key", "2048 bits"])
        for name, make in {
            "RSA that is too short": lambda: with_key(rsa.generate_private_key(65537, 1024)),
            "P-224": lambda: with_key(ec.generate_private_key(ec.SECP224R1())),
            "secp256k1": lambda: with_key(ec.generate_private_key(ec.SECP256K1())),
            "Ed448": lambda: with_key(ed448.Ed448PrivateKey.generate()),
            "X25519": lambda: with_key(x25519.X25519PrivateKey.generate()),
            "DSA": lambda: with_key(dsa.generate_private_key(1024)),
        }.items()
    },
    **{
        f"the URL {url}": (f'algorithms = ["RS256"]\njwks_url = {json.dumps(url)}', ["jwks_url", "URL"])
        for url in (
            "", "issuer.example", "ftp://issuer.example/jwks", "file:///etc/passwd", "https://", "https:///jwks",
            "https://[::1/jwks", "https://issuer.example:99999/", "https://issuer.example:x/",
            "https://exa mple.example/", "https://issuer.example/\n", "https://user:secret@issuer.example/",
        )
    },
    "a leeway below 0": (f'leeway = -1\nsecret = "{LONG}"', ["leeway"]),
    "a leeway above 300": (f'leeway = 301\nsecret = "{LONG}"', ["leeway"]),
    "an empty claim": (f'user_claim = ""\nsecret = "{LONG}"', ["user_claim"]),
    "an empty tenant claim": (f'tenant_claim = ""\nsecret = "{LONG}"', ["tenant_claim"]),
    "an issuer that is empty": (f'issuer = ""\nsecret = "{LONG}"', ["issuer"]),
    "an audience that is empty": (f'audience = ["a", ""]\nsecret = "{LONG}"', ["audience"]),
    "an unknown key": (f'secrt = "{LONG}"', ["secrt", "secret"]),
    "a secret that is a number": ("secret = 12345678901234567890123456789012345", ["config.toml"]),
}  # fmt: skip


def with_key(private):
    return f'algorithms = ["RS256"]\n{pem(public_pem(private))}'


def assert_plain(line, key, says):
    assert line.startswith("chatrack: config.toml: ") or key == "server.secret_key", line
    assert key in line
    for text in says:
        assert text in line, line
    for secret in (MARKER, SECRET, "BEGIN PRIVATE", "user:secret"):
        assert secret not in line


@pytest.mark.parametrize("name", JWT_MISTAKES)
def test_a_mistake_of_jwt_auth_is_one_plain_line(name, check):
    table, says = JWT_MISTAKES[name]
    text = table() if callable(table) else table
    line = mistake_of(check("jwt_auth", plugins=f"[plugins.jwt_auth]\n{text}"))
    assert_plain(line, "" if "a number" in name else "plugins.jwt_auth", says)


def test_a_short_secret_of_the_environment_is_one_plain_line(check):
    line = mistake_of(check("jwt_auth", env={"JWT_SECRET": MARKER}))
    assert_plain(line, "plugins.jwt_auth.secret", ["32 bytes"])


def test_the_secret_of_the_environment_beside_a_public_key_is_one_plain_line(check):
    text = with_key(private_key("RS256"))
    line = mistake_of(check("jwt_auth", plugins=f"[plugins.jwt_auth]\n{text}", env={"JWT_SECRET": LONG}))
    assert_plain(line, "plugins.jwt_auth", ["JWT_SECRET", "exactly one"])


def test_the_secret_of_the_environment_is_enough(check):
    outcome = check("jwt_auth", env={"JWT_SECRET": LONG}, server='host = "0.0.0.0"')
    assert outcome.code == 0, outcome.err
    assert MARKER not in outcome.out + outcome.err


def test_a_good_public_key_is_enough(check):
    text = with_key(private_key("RS256"))
    assert check("jwt_auth", plugins=f"[plugins.jwt_auth]\n{text}").code == 0


API_KEY_MISTAKES = {
    "no keys": ("", ["keys", "required"]),
    "an empty list": ("keys = []", ["keys", "chatrack key"]),
    "a key for a hash": (f'keys = [{{ hash = "ctk_{MARKER}", user = "u" }}]', ["keys[0].hash"]),
    "a short hash": (f'keys = [{{ hash = "sha256:{MARKER}", user = "u" }}]', ["keys[0].hash"]),
    "a hash in upper case": (
        f'keys = [{{ hash = "sha256:{HASH[7:].upper()}", user = "u" }}]',
        ["keys[0].hash"],
    ),
    "a hash with a line feed": (f'keys = [{{ hash = "{HASH}\\n", user = "u" }}]', ["keys[0].hash"]),
    "no hash": ('keys = [{ user = "u" }]', ["keys[0].hash"]),
    "no user": (f'keys = [{{ hash = "{HASH}" }}]', ["keys[0].user"]),
    "an empty user": (f'keys = [{{ hash = "{HASH}", user = "" }}]', ["keys[0].user"]),
    "a long user": (f'keys = [{{ hash = "{HASH}", user = "{"u" * 256}" }}]', ["keys[0].user"]),
    "a user with NUL": (f'keys = [{{ hash = "{HASH}", user = "a\\u0000" }}]', ["keys[0].user"]),
    "an empty tenant": (f'keys = [{{ hash = "{HASH}", user = "u", tenant = "" }}]', ["keys[0].tenant"]),
    "roles as text": (f'keys = [{{ hash = "{HASH}", user = "u", roles = "a" }}]', ["keys[0].roles"]),
    "an unknown field": (f'keys = [{{ hash = "{HASH}", user = "u", role = "a" }}]', ["keys[0].role"]),
    "the same hash twice": (
        f'keys = [{{ hash = "{HASH}", user = "u" }}, {{ hash = "{HASH}", user = "v" }}]',
        ["keys", "same hash"],
    ),
}


@pytest.mark.parametrize("name", API_KEY_MISTAKES)
def test_a_mistake_of_api_keys_auth_is_one_plain_line(name, check):
    table, says = API_KEY_MISTAKES[name]
    line = mistake_of(check("api_keys_auth", plugins=f"[plugins.api_keys_auth]\n{table}"))
    assert_plain(line, "plugins.api_keys_auth", says)


OTHER_MISTAKES = {
    "no secret of a gateway": ("signed_header_auth", "", ["secret", "required"]),
    "a short secret of a gateway": ("signed_header_auth", f'secret = "{MARKER}"', ["secret", "32 bytes"]),
    "a short secret in a list": (
        "signed_header_auth",
        f'secret = ["{LONG}", "{MARKER}"]',
        ["secret", "32 bytes"],
    ),
    "an empty list of secrets": ("signed_header_auth", "secret = []", ["secret"]),
    "no window": ("signed_header_auth", f'secret = "{LONG}"\nwindow = 0', ["window"]),
    "a window of a day": ("signed_header_auth", f'secret = "{LONG}"\nwindow = 86400', ["window"]),
    "a short session": ("session_auth", "max_age = 59", ["max_age"]),
    "another same_site": ("session_auth", 'same_site = "sometimes"', ["same_site"]),
    "a cookie's name with a space": ("session_auth", 'cookie = "a b"', ["cookie"]),
    "a cookie's name with a line feed": ("session_auth", 'cookie = "a\\n"', ["cookie"]),
    "an empty name of the cookie": ("session_auth", 'cookie = ""', ["cookie"]),
}


@pytest.mark.parametrize("name", OTHER_MISTAKES)
def test_a_mistake_of_the_other_authenticators_is_one_plain_line(name, check):
    plugin, table, says = OTHER_MISTAKES[name]
    line = mistake_of(check(plugin, plugins=f"[plugins.{plugin}]\n{table}"))
    assert_plain(line, f"plugins.{plugin}", says)


@pytest.mark.parametrize("value", [f'"{MARKER}"', f'["{LONG}", "{MARKER}"]', '""'])
def test_a_short_secret_key_is_one_plain_line(value, check):
    line = mistake_of(check("session_auth", server=f"secret_key = {value}"))
    assert_plain(line, "server.secret_key", ["32 bytes"])


@pytest.mark.parametrize("content", ["", "short", f"{MARKER}\n", b"\xff" * 80])
def test_a_file_that_is_no_secret_key_is_one_plain_line(content, check, tmp_path):
    file = tmp_path / "data" / "secret_key"
    file.parent.mkdir()
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    line = mistake_of(check("session_auth"))
    assert_plain(line, "server.secret_key", ["data/secret_key"])
    assert file.exists()


@pytest.mark.parametrize("blocked", ["a folder", "below a file"])
def test_a_secret_key_that_cannot_be_kept_is_one_plain_line(blocked, tmp_path, write_config):
    if blocked == "a folder":
        (tmp_path / "data" / "secret_key").mkdir(parents=True)
    else:
        (tmp_path / "data").touch()
    path = write_config(auth_config("session_auth"))
    line = mistake_of(run("serve", "--config", str(path), "--port", "0"))
    assert_plain(line, "server.secret_key", [os.fspath(tmp_path / "data" / "secret_key")])
