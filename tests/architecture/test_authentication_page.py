"""docs/authentication.md: every config on it assembles, its recipes let the tokens in that they show, and its examples run."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from litestar.connection import ASGIConnection

import chatrack
from chatrack.assembly import Assembly, assemble
from chatrack.assembly.instructions import unknown_placeholders
from chatrack.audit import Event
from chatrack.builtin import jwt_auth, session_auth, signed_header_auth
from chatrack.interfaces import AgentSpec
from tests.support.serving import serving
from tests.support.waiting import LIMIT

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "authentication.md").read_text(encoding="utf-8")
SECRET = "s3cret" * 8
EXPIRES = 4_102_444_800

SECTIONS = dict(re.findall(r"^##+ (.+?)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def samples(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


CONFIGS = [(title, sample) for title, text in SECTIONS.items() for sample in samples(text, "toml")]


def private_key(algorithm: str) -> Any:
    match algorithm[:2]:
        case "RS":
            return rsa.generate_private_key(65537, 2048)
        case "ES":
            return ec.generate_private_key(ec.SECP256R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def pem_of(key: Any) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def completed(sample: str) -> str:
    """Return a sample with what it leaves to the rest of config.toml."""
    if "enabled = " in sample:
        return sample
    plugins = re.findall(r"^\[plugins\.(\w+)\]", sample, re.MULTILINE)
    enabled = json.dumps([*plugins, "sqlite_store", "demo_provider"])
    return f'enabled = {enabled}\n{sample}\n[chat]\nmodel = "demo"\n'


def assembled(sample: str, folder: Path) -> Assembly:
    path = folder / "config.toml"
    path.write_text(completed(sample), encoding="utf-8")
    for name in re.findall(r'file = "([\w.]+)"', sample):
        (folder / name).write_text(pem_of(private_key("ES256")), encoding="utf-8")
    return assemble(path, environ=dict.fromkeys(re.findall(r'env = "(\w+)"', sample), SECRET))


def connection(**headers: str) -> ASGIConnection[Any, Any, Any, Any]:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return ASGIConnection({"type": "http", "headers": raw})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(("title", "sample"), CONFIGS, ids=[title for title, _ in CONFIGS])
def test_every_config_on_the_page_assembles(title, sample, tmp_path):
    assembly = assembled(sample, tmp_path)
    assert len(assembly.authenticators) == sum(
        f'"{name}"' in (tmp_path / "config.toml").read_text()
        for name in ("jwt_auth", "api_keys_auth", "session_auth", "signed_header_auth")
    )


PROVIDERS = {
    "Auth0": chatrack.User(id="auth0|65f1c0", roles=frozenset({"manager"})),
    "Keycloak": chatrack.User(
        id="1c3a4f6e-7b1d-4a52-9d6e-0f6a6f0f2d11",
        roles=frozenset({"manager", "offline_access"}),
        name="Ada Lovelace",
        email="ada@example.com",
    ),
    "Supabase": chatrack.User(
        id="8ccaa7af-909f-44e7-84cb-67cdccb56be6",
        roles=frozenset({"manager"}),
        name="Ada Lovelace",
        email="ada@example.com",
    ),
    "Better Auth": chatrack.User(
        id="Zq3bX1", roles=frozenset({"manager"}), name="Ada Lovelace", email="ada@example.com"
    ),
}
RECIPES = [(name, recipe) for name in PROVIDERS for recipe in samples(SECTIONS[name], "toml")]


@pytest.mark.parametrize(("name", "recipe"), RECIPES, ids=[name for name, _ in RECIPES])
async def test_a_recipe_lets_the_token_in_that_it_shows_and_none_for_others(name, recipe, tmp_path):
    [text] = samples(SECTIONS[name], "json")
    claims = {**json.loads(text), "exp": EXPIRES}
    algorithm = "HS256"
    key: Any = SECRET
    if "jwks_url" in recipe:
        # The same rules with a key at hand.
        algorithm = re.search(r'algorithms = \["(\w+)"', recipe).group(1)
        key = private_key(algorithm)
        recipe = re.sub(r"jwks_url = .*", f'public_key = """{pem_of(key)}"""', recipe)
        recipe = re.sub(r"algorithms = .*", f'algorithms = ["{algorithm}"]', recipe)
    [authenticator] = assembled(recipe, tmp_path).authenticators

    async def user_of(**changes: Any) -> chatrack.User:
        token = jwt.encode({**claims, **changes}, key, algorithm=algorithm)
        return await authenticator.authenticate(connection(Authorization=f"Bearer {token}"))

    user, expected = await user_of(), PROVIDERS[name]
    fields = ("id", "tenant_id", "name", "email", "roles")
    assert [getattr(user, field) for field in fields] == [getattr(expected, field) for field in fields]
    for change in ({"iss": "https://other.example.com"}, {"aud": "other"}):
        with pytest.raises(chatrack.Unauthenticated):
            await user_of(**change)


async def test_a_token_of_the_backend_on_the_page_opens_the_config_below_it(tmp_path):
    section = SECTIONS["A backend of your own"]
    [sample], [config] = samples(section, "python"), samples(section, "toml")
    names: dict[str, Any] = {}
    exec(compile(sample, "authentication.md", "exec"), names)
    [authenticator] = assembled(config, tmp_path).authenticators
    token = names["token_for"]("ada", "acme", SECRET)
    user = await authenticator.authenticate(connection(Authorization=f"Bearer {token}"))
    assert (user.id, user.tenant_id) == ("ada", "acme")


async def test_the_gateways_headers_in_python_are_accepted(tmp_path):
    [sample] = samples(SECTIONS["`signed_header_auth`"], "python")
    [config] = samples(SECTIONS["`signed_header_auth`"], "toml")
    names: dict[str, Any] = {}
    exec(compile(sample, "authentication.md", "exec"), names)
    headers = names["chatrack_headers"](
        SECRET, {"id": "adä", "tenant_id": "acme", "locale": "de", "roles": ["manager"]}
    )
    [authenticator] = assembled(config, tmp_path).authenticators
    user = await authenticator.authenticate(connection(**headers))
    assert (user.id, user.tenant_id, user.locale, user.roles) == ("adä", "acme", "de", {"manager"})
    with pytest.raises(chatrack.Unauthenticated):
        await authenticator.authenticate(connection(**{**headers, "X-Chatrack-Timestamp": "1"}))


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
async def test_the_gateways_headers_in_a_shell_are_accepted(tmp_path):
    [sample] = samples(SECTIONS["`signed_header_auth`"], "sh")
    [config] = samples(SECTIONS["`signed_header_auth`"], "toml")
    (tmp_path / "config.toml").write_text(completed(config), encoding="utf-8")
    async with serving(tmp_path / "config.toml", environ={"GATEWAY_SECRET": SECRET}) as chat:
        script = sample.replace("http://127.0.0.1:8000", str(chat.http.base_url).rstrip("/"))
        environ = {"PATH": os.environ["PATH"], "GATEWAY_SECRET": SECRET, "no_proxy": "*"}
        done = await asyncio.to_thread(
            subprocess.run, ["sh", "-c", script], env=environ, capture_output=True, text=True, timeout=LIMIT
        )
        assert json.loads(done.stdout)["data"] == [], done.stdout + done.stderr
        refused = await chat.call("threads.list")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Chatrack-Signature"


def test_the_roles_on_the_page_keep_tools_and_agents_to_them(tmp_path):
    [sample] = samples(SECTIONS["Roles"], "toml")
    assembly = assembled(sample, tmp_path)

    def seen(*roles: str) -> tuple[set[str], list[str]]:
        helper = assembly.agents_by_role.agents_for(frozenset(roles))["helper"]
        return set(helper.tools), [agent.name for agent in helper.agent.handoffs]

    assert seen() == (set(), [])
    tools, handoffs = seen("member")
    assert "todo_tools.create_todo" in tools
    assert "todo_tools.delete_todo" not in tools
    assert handoffs == []
    tools, handoffs = seen("manager")
    assert "todo_tools.delete_todo" in tools
    assert handoffs == ["auditor"]


def test_the_page_lists_every_setting_of_the_authenticators():
    for title, plugin in {
        "`jwt_auth`": jwt_auth.JWTAuthPlugin,
        "`session_auth`": session_auth.SessionAuthPlugin,
        "`signed_header_auth`": signed_header_auth.SignedHeaderAuthPlugin,
    }.items():
        listed = re.findall(r"^\| `(\w+)` \|", SECTIONS[title], re.MULTILINE)
        assert listed == [field.name for field in msgspec.structs.fields(plugin.Settings)]


def test_the_page_lists_every_event_of_the_audit_log():
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", SECTIONS["The audit log"], re.MULTILINE)
    assert set(re.findall(r"\w+", " ".join(rows))) == set(get_args(Event))


def test_the_page_and_the_docstring_list_every_placeholder():
    for text in (SECTIONS["Placeholders in instructions"], AgentSpec.__doc__):
        named = re.findall(r"`(\{[\w.<>]+\})`", text)
        assert len(named) >= 8
        assert not unknown_placeholders(" ".join(named).replace("<name>", "x"))
    assert unknown_placeholders("{user.password}") == ["{user.password}"]
