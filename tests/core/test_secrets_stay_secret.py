"""Secrets are in no log line, error, answer, audit line or process title, whatever goes wrong."""

import asyncio
import base64
import contextlib
import json
import types
import typing
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Union

import httpx
import jwt
import msgspec
import pytest
from sqlalchemy import make_url

from chatrack import Secret, Settings
from chatrack.builtin.signed_header_auth import SIGNATURE_HEADER, TIMESTAMP_HEADER, USER_HEADER
from chatrack.config import tables
from chatrack.interfaces import hash_api_key
from chatrack.plugins import discover
from tests.support.client import events_in
from tests.support.cluster import Cluster, new_cluster
from tests.support.commands import run, run_process
from tests.support.process import Processes, Server, processes
from tests.support.serving import message
from tests.support.waiting import until

MARK = "m4rk3r"
"""What every secret here contains."""


def marker(key: str) -> str:
    """Return the secret that a setting has; one for each key."""
    return f"{MARK}.{key.replace('*', 'x')}.{'0123456789abcdef' * 2}"


def with_password(url: str, key: str) -> str:
    """Return a URL with a user and a password."""
    return url.replace("://", f"://clerk:{marker(key)}@", 1)


CORE_TABLES = {"server": tables.ServerTable, "chat": tables.ChatTable, "agents.*": tables.AgentTable}
CORE_TABLES |= {"tools.*": tables.ToolTable}


def secret_settings() -> set[str]:
    """Return the keys of all settings that may hold a secret: `Secret`s, and URLs, which may have a password."""
    found = set[str]()
    for key, table in CORE_TABLES.items():
        found |= secrets_in(table, key)
    for name, plugin in discover().items():
        settings = getattr(plugin.entry_point.load(), "Settings", None)
        if settings is not None:
            found |= secrets_in(settings, f"plugins.{name}")
    return found


def secrets_in(struct: type[msgspec.Struct], key: str) -> set[str]:
    """Return the keys of the settings of one table that may hold a secret."""
    found = set[str]()
    for field, hint in typing.get_type_hints(struct).items():
        for place, kind in leaves(hint):
            path = f"{key}.{field}{place}"
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                found |= secrets_in(kind, path)
            elif kind is Secret or (kind is str and field.endswith("url")):
                found.add(path)
    return found


def leaves(hint: Any) -> Iterator[tuple[str, Any]]:
    """Yield the types in an annotation, and whether they are values of a table."""
    origin = typing.get_origin(hint)
    if origin is None:
        yield "", hint
    elif origin in {Union, types.UnionType, list}:
        for part in typing.get_args(hint):
            yield from leaves(part)
    elif origin is dict:
        for place, kind in leaves(typing.get_args(hint)[1]):
            yield f".*{place}", kind


NOT_SECRET = {
    "server.public_url": "it is public, and one with a user name is refused",
    "plugins.s3_files.endpoint_url": "one with a user name is refused",
    "plugins.s3_files.public_endpoint_url": "one with a user name is refused",
    "plugins.azure_files.endpoint_url": "one with a user name is refused",
}

PROVIDERS = ("openai_provider", "gemini_provider", "compatible_provider.endpoints.*")


class Echo:
    """A server that refuses every request with 401, and repeats all that it was sent in the message.

    Args:
        url: its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            sent = [head]
            for line in head.splitlines():
                name, _, value = line.partition(": ")
                if name.lower() == "content-length":
                    await reader.readexactly(int(value))
                if name.lower() == "authorization" and value.startswith("Basic "):
                    sent.append(base64.b64decode(value[6:]).decode())
            self.seen.append("\n".join(sent))
            error = {"message": f"The key in {sent} is not valid.", "code": "invalid_api_key", "param": head}
            body = json.dumps({"error": {**error, "type": "invalid_request_error"}}).encode()
            writer.write(
                b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(body), body)
            )
            await writer.drain()
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo("")
    async with await asyncio.start_server(echo.answer, "127.0.0.1") as server:
        echo.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield echo


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    with new_cluster() as cluster:
        await cluster.start()
        for key in ("plugins.postgres_store.url", "plugins.todo_tools.url"):
            role = key.split(".")[1]
            await cluster.fetch(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{marker(key)}'")
        yield cluster


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Processes]:
    with processes(tmp_path) as starter:
        yield starter


Tables = dict[str, dict[str, Any]]


def all_tables(echo: str, store: str, *, passwords: bool = True) -> Tables:
    """Return the tables of a config whose every secret has a marker.

    Args:
        echo: the address of all providers.
        store: the URL of the database; the plugin's own is beside it.
        passwords: whether the address has a password, which is sent in the place of the key.
    """

    def endpoint(key: str) -> dict[str, Any]:
        return {
            "api_key": marker(f"{key}.api_key"),
            "base_url": with_password(f"{echo}/v1", f"{key}.base_url") if passwords else f"{echo}/v1",
            "headers": {"X-Gateway-Key": marker(f"{key}.headers.*")},
            "max_retries": 0,
        }

    def database(plugin: str) -> str:
        url = make_url(store).set(username=plugin, password=marker(f"plugins.{plugin}.url"))
        return url.render_as_string(hide_password=False)

    return {
        "server": {
            "secret_key": [marker("server.secret_key"), marker("server.secret_key") + "old"],
            "domain_keys": [marker("server.domain_keys")],
            "log_level": "debug",
        },
        "chat": {
            "model": "openai/fake",
            "selectable_models": ["openai/fake", "other/fake", "gemini/fake-gemini3"],
            "transcription_model": "openai/whisper",
            "titles": "model",
        },
        "plugins.postgres_store": {"url": database("postgres_store"), "auto_migrate": True},
        "plugins.todo_tools": {"url": database("todo_tools")},
        "plugins.openai_provider": endpoint("plugins.openai_provider"),
        "plugins.gemini_provider": endpoint("plugins.gemini_provider"),
        "plugins.compatible_provider.endpoints.other": endpoint("plugins.compatible_provider.endpoints.*"),
        "plugins.api_keys_auth": {"keys": [{"hash": hash_api_key(f"ctk_{MARK}"), "user": "bot"}]},
        "plugins.jwt_auth": {"secret": {"env": "JWT_SECRET"}},
        "plugins.guardrails.moderation": {
            "api_key": marker("plugins.guardrails.moderation.api_key"),
            "base_url": with_password(f"{echo}/v1", "plugins.guardrails.moderation.base_url"),
        },
        "plugins.signed_header_auth": {"secret": [marker("plugins.signed_header_auth.secret")]},
    }


ENVIRON = {"JWT_SECRET": marker("plugins.jwt_auth.secret")}

ENABLED = [
    "openai_provider",
    "gemini_provider",
    "compatible_provider",
    "jwt_auth",
    "api_keys_auth",
    "session_auth",
    "signed_header_auth",
    "guardrails",
    "todo_tools",
]


def write(path: Path, given: Mapping[str, Mapping[str, Any]], *, store: str = "postgres_store") -> Path:
    """Write tables as TOML."""
    lines = [f"enabled = {json.dumps([store, *ENABLED])}"]
    for key, table in given.items():
        lines += [f"[{key}]", *(f"{name} = {toml(value)}" for name, value in table.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(name)} = {toml(part)}' for name, part in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


def assert_silent(*texts: str) -> None:
    """Assert that no secret is in a text."""
    for text in texts:
        place = text.find(MARK)
        assert place < 0, f"a secret: …{text[max(0, place - 300) : place + 100]}…"


def titles_of(pid: int) -> str:
    """Return what tools such as `ps` show of a process."""
    process = Path(f"/proc/{pid}")
    names = ("cmdline", "comm", "stat", "status")
    return "".join((process / name).read_text(encoding="utf-8", errors="replace") for name in names)


def test_every_setting_that_may_hold_a_secret_has_a_marker_here():
    given = all_tables("http://127.0.0.1:1", "postgresql://host/name")
    text = json.dumps([given, ENVIRON])
    covered = {key for key in secret_settings() if marker(key) in text}
    of_files = {  # one file store at a time: their own tests look for these
        "plugins.s3_files.access_key",
        "plugins.s3_files.secret_key",
        "plugins.azure_files.account_key",
        "plugins.azure_files.connection_string",
    }
    elsewhere = {"plugins.jwt_auth.jwks_url", "plugins.mysql_store.url", *of_files, *NOT_SECRET}
    assert covered | elsewhere == secret_settings()


@pytest.mark.long
@pytest.mark.parametrize("passwords", [False, True], ids=["keys", "passwords"])
async def test_a_running_server_that_refuses_and_fails_says_no_secret(
    tmp_path, started, echo, cluster, passwords
):
    config = write(tmp_path / "config.toml", all_tables(echo.url, cluster.url, passwords=passwords))
    server = await started.serve(config, "--workers", "2", environ=ENVIRON)
    workers = await server.ready_workers(2)
    said = [titles_of(pid) for pid in (server.pid, *workers)]
    said += await refusals(server)
    said += await failures(server)
    sent = "\n".join(echo.seen)
    for key in PROVIDERS:
        name = "base_url" if passwords else "api_key"
        assert marker(f"plugins.{key}.{name}") in sent, "the provider was not asked"
        assert marker(f"plugins.{key}.headers.*") in sent
    await cluster.stop()
    said += await unavailable(server)
    await server.stop()
    log = server.log()
    assert_silent(*said, log)
    for event in ("model failed", '"event":"refused"', '"event":"signed_in"', "database unavailable"):
        assert event in log, f"nothing was said about: {event}"


async def refusals(server: Server) -> list[str]:
    """Send all secrets where credentials belong, in all forms that are not valid; return the answers."""
    valid = jwt.encode({"sub": "ada", "exp": 4_000_000_000}, ENVIRON["JWT_SECRET"], "HS256")
    domain = {"x-domain-key": marker("server.domain_keys")}
    forged = jwt.encode({"sub": "ada", "exp": 4_000_000_000}, marker("server.secret_key"), "HS256")
    signature = {USER_HEADER: "eyJpZCI6ImFkYSJ9", TIMESTAMP_HEADER: "1"}
    headers: list[dict[str, str]] = [
        {"authorization": f"Bearer {valid}"},  # without a domain key
        {"authorization": f"Bearer {valid}", "x-domain-key": marker("server.secret_key")},
        {**domain, "authorization": f"Bearer {forged}"},
        {**domain, "authorization": f"Bearer {MARK}.{MARK}.{MARK}"},
        {**domain, "authorization": f"Bearer {ENVIRON['JWT_SECRET']}"},
        {**domain, "authorization": f"Bearer ctk_{marker('server.secret_key')}"},
        {**domain, "authorization": f"Basic {marker('server.secret_key')}"},
        {**domain, "cookie": f"chatrack_session={marker('server.secret_key')}"},
        {**domain, **signature, SIGNATURE_HEADER: f"v1={marker('plugins.signed_header_auth.secret')}"},
        {**domain, **signature, USER_HEADER: marker("plugins.signed_header_auth.secret")},
    ]
    answers = []
    async with server.http() as http:
        for given in headers:
            response = await http.post("/chatkit/api", json={"type": "threads.list"}, headers=given)
            assert response.status_code in {401, 403}, (given, response.text)
            answers.append(f"{response.headers} {response.text}")
    return answers


@contextlib.asynccontextmanager
async def signed_in(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    token = jwt.encode({"sub": "ada", "exp": 4_000_000_000}, ENVIRON["JWT_SECRET"], "HS256")
    headers = {"authorization": f"Bearer {token}", "x-domain-key": marker("server.domain_keys")}
    async with server.http(headers=headers) as http:
        yield http


async def failures(server: Server) -> list[str]:
    """Ask models whose providers refuse the key, and send what is malformed; return the answers."""
    answers = []
    audio = {"audio_base64": base64.b64encode(b"x").decode(), "mime_type": "audio/webm"}
    async with signed_in(server) as http:

        async def ask(kind: str, **params: Any) -> None:
            response = await http.post("/chatkit/api", json={"type": kind, "params": params})
            answers.append(f"{response.headers} {response.text}")

        for model in ("openai/fake", "other/fake", "gemini/fake-gemini3"):
            await ask("threads.create", input=message("hello", inference_options={"model": model}))
            assert [event["type"] for event in events_in(answers[-1])][-1:] == ["error"], answers[-1]
        await ask("input.transcribe", **audio)
        assert "did not accept this server's key" in answers[-1]
        await ask("threads.unknown")
        await ask("threads.get_by_id", thread_id="thr_unknown")
        for method, path in (
            ("POST", "/auth/session"),
            ("GET", "/nowhere"),
            ("GET", "/health"),
            ("GET", "/ready"),
        ):
            response = await http.request(method, path)
            answers.append(f"{response.headers} {response.text}")
    return answers


async def unavailable(server: Server) -> list[str]:
    """Return the answers of a server whose database has stopped."""
    answers = []
    async with signed_in(server) as http:

        async def is_away() -> bool:
            return (await http.get("/ready")).status_code == 503

        await until(is_away)
        for _ in range(4):  # both workers
            response = await http.post("/chatkit/api", json={"type": "threads.list"})
            assert response.status_code == 503, response.text
            answers += [response.text, (await http.get("/ready")).text, (await http.get("/health")).text]
    return answers


@pytest.mark.parametrize("closed", [False, True], ids=["the issuer refuses", "nobody listens"])
async def test_the_query_of_the_address_of_published_keys_is_not_logged(
    tmp_path, started, echo, unused_tcp_port, closed
):
    given = all_tables(echo.url, "postgresql://host/name")
    url = f"http://127.0.0.1:{unused_tcp_port}" if closed else echo.url
    given["plugins.jwt_auth"] = {
        "jwks_url": f"{url}/keys?key={marker('plugins.jwt_auth.jwks_url')}",
        "algorithms": ["RS256"],
    }
    given["plugins.sqlite_store"] = {"path": "chat.db"}
    del given["plugins.postgres_store"], given["plugins.todo_tools"]
    server = await started.serve(write(tmp_path / "config.toml", given, store="sqlite_store"))
    token = jwt.encode(
        {"sub": "ada", "exp": 4_000_000_000}, "x" * 32, "HS256", headers={"kid": "k", "alg": "HS256"}
    )
    async with server.http() as http:
        await http.post("/chatkit/api", json={}, headers={"authorization": f"Bearer {token}"})
    await until(lambda: "keys cannot be loaded" in server.log(), otherwise=server.log)
    await server.stop()
    assert_silent(server.log())


MISTAKES: dict[str, tuple[str, str, Any]] = {
    "unknown key": ("server", "secret_keys", marker("server.secret_key")),
    "port": ("server", "port", "high"),
    "short secret key": ("server", "secret_key", [MARK]),
    "secret keys of several types": ("server", "secret_key", [marker("server.secret_key"), 5]),
    "secret key in a table": ("server", "secret_key", {"key": marker("server.secret_key")}),
    "empty domain key": ("server", "domain_keys", ["", marker("server.domain_keys")]),
    "domain keys in a table": ("server", "domain_keys", {"key": marker("server.domain_keys")}),
    "public URL with a password": ("server", "public_url", f"https://ada:{MARK}@host"),
    "short JWT secret": ("plugins.jwt_auth", "secret", MARK),
    "JWT secret in a list": ("plugins.jwt_auth", "secret", [marker("plugins.jwt_auth.secret")]),
    "algorithm": ("plugins.jwt_auth", "algorithms", ["RS256"]),
    "two sources of keys": ("plugins.jwt_auth", "jwks_url", f"https://ada:{MARK}@host/keys"),
    "not a URL of keys": ("plugins.jwt_auth", "jwks_url", f"ftp://ada:{MARK}@host/keys"),
    "public key": ("plugins.jwt_auth", "public_key", f"-----BEGIN {'PRIVATE'} KEY-----\n{MARK}"),
    "short gateway secret": ("plugins.signed_header_auth", "secret", MARK),
    "API key in the place of a hash": (
        "plugins.api_keys_auth",
        "keys",
        [{"hash": f"ctk_{MARK}", "user": "ada"}],
    ),
    "API key beside the hash": (
        "plugins.api_keys_auth",
        "keys",
        [{"hash": f"sha256:{'0' * 64}", "user": "ada", "key": f"ctk_{MARK}"}],
    ),
    "provider's key in a list": ("plugins.openai_provider", "api_key", [MARK]),
    "provider's address": ("plugins.openai_provider", "base_url", f"ftp://ada:{MARK}@host/v1"),
    "provider's address without a scheme": ("plugins.gemini_provider", "base_url", f"ada:{MARK}@host/v1"),
    "provider's headers": ("plugins.openai_provider", "headers", MARK),
    "provider's timeout": ("plugins.openai_provider", "timeout", "long"),
    "header in a list": ("plugins.gemini_provider", "headers", {"X-Key": [MARK]}),
    "endpoint's address": (
        "plugins.compatible_provider.endpoints.other",
        "base_url",
        f"https//ada:{MARK}@host/v1",
    ),
    "not a database URL": ("plugins.postgres_store", "url", f"{MARK} {MARK}"),
    "database URL of another kind": ("plugins.postgres_store", "url", f"mysql://ada:{MARK}@host/name"),
    "database URL without a name": ("plugins.postgres_store", "url", f"postgresql://ada:{MARK}@host"),
    "database URL with a wrong port": (
        "plugins.postgres_store",
        "url",
        f"postgresql://ada:{MARK}@host:port/name",
    ),
    "database that does not answer": (
        "plugins.postgres_store",
        "url",
        f"postgresql://ada:{MARK}@127.0.0.1:1/name",
    ),
    "database option": (
        "plugins.postgres_store",
        "url",
        f"postgresql://ada:{MARK}@127.0.0.1:1/name?password={MARK}&unknown={MARK}",
    ),
    "todo database": ("plugins.todo_tools", "url", f"{MARK}:{MARK}"),
    "todo database of an unknown kind": ("plugins.todo_tools", "url", f"mongodb://ada:{MARK}@host/name"),
    "pool": ("plugins.postgres_store", "pool_size", 0),
    "model": ("chat", "model", "opnai/fake"),
    "MySQL that does not answer": ("plugins.mysql_store", "url", f"mysql://ada:{MARK}@127.0.0.1:1/name"),
    "not a MySQL URL": ("plugins.mysql_store", "url", f"mysql:/ada:{MARK}@127.0.0.1"),
}
"""Mistakes: the table, the key and the value that is wrong, in a config that is right otherwise."""

COMMANDS = [["check"], ["plugins"], ["serve", "--port", "0"], ["migrate"], ["export", "--user", "ada"]]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_no_command_repeats_a_secret_when_it_reports_a_mistake(tmp_path, mistake):
    table, name, value = MISTAKES[mistake]
    given = all_tables("http://127.0.0.1:1", "postgresql://127.0.0.1:1/name")
    given.setdefault(table, {})[name] = value
    environ = ENVIRON
    if name in {"jwks_url", "public_key"} and mistake != "two sources of keys":
        given[table] = {name: value, "algorithms": ["RS256"]}
        environ = {}
    store = "mysql_store" if table == "plugins.mysql_store" else "postgres_store"
    if store == "mysql_store":
        del given["plugins.postgres_store"]
    config = str(write(tmp_path / "config.toml", given, store=store))
    outcomes = [
        run(*command, "--config", config, *option, env={**environ})
        for command in COMMANDS
        for option in ([], ["--verbose"])
    ]
    assert_silent(*(outcome.out + outcome.err for outcome in outcomes))
    assert table.partition(".endpoints")[0] in outcomes[0].err
    assert name in outcomes[0].err, "another mistake was reported"
    assert all(outcome.code == 2 for outcome in outcomes[:2])


def test_a_file_that_is_not_toml_is_not_quoted(tmp_path):
    config = tmp_path / "config.toml"
    for line in (f'api_key = "{MARK}', f"api_key = {MARK}", f"{MARK}", f'a = "{MARK}"\na = "{MARK}"'):
        config.write_text(f"enabled = []\n[plugins.openai_provider]\n{line}\n")
        for command in COMMANDS:
            for option in ([], ["--verbose"]):
                outcome = run(*command, "--config", str(config), *option)
                assert outcome.code == 2
                assert_silent(outcome.out + outcome.err)


async def test_commands_of_a_valid_config_print_no_secret(tmp_path, echo, cluster):
    config = write(tmp_path / "config.toml", all_tables(echo.url, cluster.url))
    commands = [
        ["migrate"],
        ["check"],
        ["plugins"],
        ["migrate", "--sql"],
        ["export", "--user", "ada"],
        ["purge", "--user", "ada", "--yes"],
        ["purge", "--older-than", "1d", "--yes"],
    ]
    for command in commands:
        arguments = [*command, "--config", config.name, "--verbose"]
        outcome = await asyncio.to_thread(run_process, *arguments, cwd=tmp_path, env=ENVIRON)
        assert outcome.code == 0, (command, outcome)
        assert_silent(outcome.out + outcome.err)


def test_settings_and_their_errors_show_no_secret_when_they_are_printed():
    class Table(Settings):
        key: Secret
        keys: dict[str, Secret] = {}

    table = Table(key=Secret(MARK), keys={"a": Secret(MARK)})
    assert_silent(
        repr(table), str(table), f"{table.key}", repr([table.keys]), repr(msgspec.structs.asdict(table))
    )
