"""The audit log: one line for each event, with who, what, when and from where, and without content."""

import json
import signal
import stat
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
import pytest

from chatrack import audit
from tests.conftest import openai_config
from tests.support.commands import mistake_of, run, run_process, same_logging
from tests.support.process import Processes, Server, processes
from tests.support.rows import config_of, fill, todo
from tests.support.serving import Chat, answer_of, message, serving
from tests.support.waiting import until

SECRET = "the secret of the issuer, long enough"
DOMAIN_KEY = "domain-key"
CONTENT = "xyzzy"
"""In every text that users and models write here."""


def token(user: str = "ada", **claims: Any) -> str:
    given = {"sub": user, "org": "acme", "exp": time.time() + 3600, **claims}
    return jwt.encode(given, SECRET, "HS256")


def headers(user: str = "ada", **claims: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {token(user, **claims)}", "x-domain-key": DOMAIN_KEY}


DESK = """
import chatrack
from chatrack import hookimpl
from litestar import get


class Plugin:
    api = 1

    @hookimpl
    def routes(self):
        @get("/secret")
        async def secret() -> None:
            raise chatrack.Forbidden("This is for others.")

        return [secret]
"""


@pytest.fixture
def site(site):
    site.install_source("desk", DESK)
    return site


@pytest.fixture
def started(tmp_path) -> Iterator[Processes]:
    with processes(tmp_path) as starter:
        yield starter


@pytest.fixture
def log(tmp_path) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Write the audit log of this process into a file; the function returns its lines."""
    path = tmp_path / "audit.jsonl"
    with same_logging():
        audit.configure(path)
        yield lambda: lines_of(path)


@pytest.fixture
def config(write_config, upstream, site) -> Path:
    extra = f"""
[plugins.jwt_auth]
secret = "{SECRET}"
tenant_claim = "org"
[tools."todo_tools.delete_todo"]
roles = ["editor"]
[agents.helper]
instructions = "You help."
tools = ["todo_tools.*"]
roles = ["reader"]
"""
    text = openai_config(
        upstream.url,
        server=f'domain_keys = ["{DOMAIN_KEY}"]',
        enabled='["sqlite_store", "openai_provider", "todo_tools", "jwt_auth", "session_auth", "desk"]',
        extra=extra,
    )
    helper = '[agents.helper]\ninstructions = "You help."\ntools = ["todo_tools.*"]\n[plugins.sqlite'
    assert helper in text
    return write_config(text.replace(helper, "[plugins.sqlite", 1))


def lines_of(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def audit_lines(text: str) -> list[dict[str, Any]]:
    """Return the audit lines among other lines."""
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"time":')]


def as_user(chat: Chat, user: str = "ada", **claims: Any) -> Chat:
    chat.http.headers.update(headers(user, **claims))
    return chat


async def test_the_first_request_of_a_user_is_a_sign_in_and_later_ones_are_not(config, log):
    async with serving(config) as chat:
        for user in ("ada", "ada", "bob", "ada"):
            assert (await as_user(chat, user, roles=["reader"]).call("threads.list")).status_code == 200
        await as_user(chat, org="other").get("threads.list")
    lines = log()
    assert [(line["event"], line["tenant"], line["user"]) for line in lines] == [
        ("signed_in", "acme", "ada"),
        ("signed_in", "acme", "bob"),
        ("signed_in", "other", "ada"),
    ]
    for line in lines:
        assert line["by"] == "IssuingAuthenticator"
        assert line["address"] == "127.0.0.1"
        assert (line["method"], line["path"]) == ("POST", "/chatkit/api")
        assert line["request_id"].startswith("req_")
        assert abs(datetime.fromisoformat(line["time"]).timestamp() - time.time()) < 3600


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "reason"),
    [
        ("POST", "/chatkit/api", {"x-domain-key": DOMAIN_KEY}, 401, "no credentials"),
        ("POST", "/chatkit/api", {**headers(exp=1)}, 401, "expired"),
        ("GET", "/x/desk/secret", {"authorization": "Bearer a.b.c"}, 401, ""),
        ("POST", "/chatkit/api", {"authorization": f"Bearer {token()}"}, 403, "X-Domain-Key"),
        ("POST", "/chatkit/api", {**headers(), "x-domain-key": "wrong"}, 403, "X-Domain-Key"),
        ("GET", "/x/desk/secret", headers(), 403, "This is for others."),
        ("POST", "/chatkit/api", headers(roles=["editor"]), 403, "other roles"),
    ],
)
async def test_each_refusal_is_one_line_with_its_reason_and_never_the_token(
    config, log, method, path, sent, status, reason
):
    async with serving(config) as chat:
        body = {"type": "threads.create", "params": {"input": message(CONTENT)}}
        response = await chat.http.request(method, path, json=body, headers=sent)
    assert response.status_code == status
    [line] = [line for line in log() if line["event"] == "refused"]
    assert line["status"] == status
    assert reason in line["reason"]
    assert line["address"] == "127.0.0.1"
    assert (line["method"], line["path"]) == (method, path)
    assert line["request_id"] == response.json()["request_id"]
    for value in sent.values():
        assert value.removeprefix("Bearer ") not in json.dumps(line)
    assert CONTENT not in json.dumps(line)
    # Who was refused is known only if the credentials were valid.
    known = status == 403 and "X-Domain-Key" not in line["reason"]
    assert (line.get("tenant"), line.get("user")) == (("acme", "ada") if known else (None, None))


async def test_a_request_with_a_cookie_of_another_origin_is_a_refusal(config, log):
    async with serving(config) as chat:
        await chat.http.post("/auth/session", headers=headers())
        foreign = {"origin": "http://evil.example", "x-domain-key": DOMAIN_KEY}
        response = await chat.http.post(chat.path, json={"type": "threads.list"}, headers=foreign)
        assert response.status_code == 403
    line = log()[-1]
    assert (line["event"], line["status"]) == ("refused", 403)
    assert "origin" in line["reason"]


async def test_sessions_are_recorded_when_they_start_and_end(config, log):
    async with serving(config) as chat:
        assert (await chat.http.post("/auth/session", headers=headers())).status_code == 200
        cookie = chat.http.cookies["chatrack_session"]
        assert (await chat.http.delete("/auth/session")).status_code == 204
        assert (await chat.http.delete("/auth/session")).status_code == 204  # there is none any more
    assert [(line["event"], line["user"], line["tenant"], line["address"]) for line in log()] == [
        (event, "ada", "acme", "127.0.0.1") for event in ("signed_in", "session_started", "session_ended")
    ]
    assert cookie not in json.dumps(log())


async def test_deletions_and_calls_of_tools_with_roles_are_recorded_without_content(config, log):
    async with serving(config) as chat:
        as_user(chat, roles=["reader", "editor"])
        thread, events = await chat.create(f'call create_todo {{"title": "{CONTENT}"}}')
        assert CONTENT in answer_of(events)
        await chat.say(thread, 'call delete_todo {"todo_id": "todo_xyzzy"}')
        await chat.get("threads.update", thread_id=thread, title=CONTENT)
        assert (await chat.call("threads.delete", thread_id="thr_unknown")).status_code == 404
        await chat.get("threads.delete", thread_id=thread)
        await chat.call("threads.delete", thread_id=thread)
    lines = log()
    assert [line["event"] for line in lines] == ["signed_in", "tool_called", "thread_deleted"]
    _, called, deleted = lines
    assert called["tool"] == "todo_tools.delete_todo"
    assert called["turn"].startswith("trn_")
    for line in (called, deleted):
        assert (line["tenant"], line["user"], line["address"], line["thread"]) == (
            "acme",
            "ada",
            "127.0.0.1",
            thread,
        )
        assert line["request_id"].startswith("req_")
    assert CONTENT not in json.dumps(lines)


def test_exports_and_purges_name_whose_data_it_is_and_who_did_it(tmp_path, store_url):
    fill(store_url, [todo("todo_1", "acme", "ada", title=CONTENT)])
    path = config_of("sqlite", store_url, tmp_path)
    whose = ["--user", "ada", "--tenant", "acme", "--config", path]
    outcomes = [
        run("export", *whose),
        run("purge", *whose, "--yes"),
        run("purge", "--older-than", "90d", "--yes", "--config", path),
    ]
    assert [outcome.code for outcome in outcomes] == [0, 0, 0]
    exported, purged, old = lines_of(tmp_path / "audit.jsonl")
    assert exported["event"] == "exported"
    assert purged["event"] == old["event"] == "purged"
    for line in (exported, purged):
        assert (line["tenant"], line["user"]) == ("acme", "ada")
    assert "user" not in old
    assert datetime.fromisoformat(old["before"]) < datetime.fromisoformat(old["time"])
    assert exported["operator"] == purged["operator"] == old["operator"] != ""
    assert CONTENT not in (tmp_path / "audit.jsonl").read_text(encoding="utf-8")


def test_a_purge_that_is_declined_or_refused_is_not_recorded(tmp_path, store_url):
    fill(store_url, [todo("todo_1", "acme", "ada")])
    path = config_of("sqlite", store_url, tmp_path)
    mistake_of(run("purge", "--user", "ada", "--config", path))  # without --yes
    mistake_of(run("export", "--user", "ada", "--config", path))  # the tenant is not clear
    assert lines_of(tmp_path / "audit.jsonl") == []


def test_without_a_file_the_line_of_a_command_is_on_stderr(tmp_path, store_url):
    path = Path(config_of("sqlite", store_url, tmp_path))
    path.write_text(
        path.read_text(encoding="utf-8").replace('audit_log = "audit.jsonl"', ""), encoding="utf-8"
    )
    outcome = run_process("export", "--user", "ada", cwd=tmp_path)
    assert outcome.code == 0
    assert [line["event"] for line in audit_lines(outcome.err)] == ["exported"]
    assert audit_lines(outcome.out) == []


def served_config(folder: Path, audit_log: str | None, name: str = "config.toml") -> Path:
    path = folder / name
    path.write_text(
        'enabled = ["sqlite_store", "demo_provider", "jwt_auth"]\n[server]\n'
        + (f'audit_log = "{audit_log}"\n' if audit_log else "")
        + f'[chat]\nmodel = "demo"\n[plugins.sqlite_store]\npath = "chat.db"\n'
        f'[plugins.jwt_auth]\nsecret = "{SECRET}"\ntenant_claim = "org"\n',
        encoding="utf-8",
    )
    return path


async def sign_in(server: Server, user: str) -> None:
    async with server.http() as http:
        response = await http.post("/chatkit/api", json={"type": "threads.list"}, headers=headers(user))
        assert response.status_code == 200


def users_in(path: Path) -> list[str]:
    return [line["user"] for line in lines_of(path)]


async def test_the_file_is_its_owners_and_is_appended_to(tmp_path, started):
    config, path = served_config(tmp_path, "logs/audit.jsonl"), tmp_path / "logs" / "audit.jsonl"
    for user in ("ada", "bob"):
        server = await started.serve(config)
        await sign_in(server, user)
        assert await server.stop() == 0
        assert audit_lines(server.log()) == [], "the lines are in the file alone"
    assert users_in(path) == ["ada", "bob"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_file_is_opened_anew_at_sighup_by_every_process(tmp_path, started, workers):
    config, path = served_config(tmp_path, "audit.jsonl"), tmp_path / "audit.jsonl"
    server = await started.serve(config, "--workers", str(workers))
    if workers > 1:
        await server.ready_workers(workers)
    await sign_in(server, "before")
    rotated = path.rename(tmp_path / "audit.jsonl.1")
    server.send(signal.SIGHUP)
    pids = [server.pid, *server.workers()]

    def all_have_it_open() -> bool:
        return path.exists() and all(
            str(path) in opened and str(rotated) not in opened for opened in map(open_files, pids)
        )

    await until(all_have_it_open, otherwise=server.log)
    users = [f"user-{number}" for number in range(6)]
    for user in users:
        await sign_in(server, user)
    assert users_in(rotated) == ["before"]
    # A worker records each user when it first meets him.
    assert set(users_in(path)) == set(users)
    assert server.running
    assert await server.stop() == 0
    server.assert_clean()


def open_files(pid: int) -> set[str]:
    return {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}


async def test_a_file_that_cannot_be_opened_anew_keeps_the_old_one(tmp_path, started):
    config, path = served_config(tmp_path, "logs/audit.jsonl"), tmp_path / "logs" / "audit.jsonl"
    server = await started.serve(config)
    rotated = path.parent.rename(tmp_path / "old") / path.name
    server.send(signal.SIGHUP)
    await until(lambda: "the audit log cannot be reopened" in server.log())
    await sign_in(server, "ada")
    assert users_in(rotated) == ["ada"]
    assert await server.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_without_a_file_lines_go_to_stderr_and_sighup_ends_the_server(tmp_path, started, workers):
    server = await started.serve(served_config(tmp_path, None), "--workers", str(workers))
    if workers > 1:
        await server.ready_workers(workers)
    await sign_in(server, "ada")
    assert [line["user"] for line in audit_lines(server.log())] == ["ada"]
    assert await server.stop(signal.SIGHUP) == -signal.SIGHUP


@pytest.mark.parametrize("place", ["folder", "below a file"])
@pytest.mark.parametrize(
    "command", [["serve", "--port", "0"], ["export", "--user", "ada"]], ids=lambda c: c[0]
)
def test_a_file_that_cannot_be_opened_is_one_plain_line(tmp_path, place, command):
    (tmp_path / "audit").mkdir()
    (tmp_path / "file").touch()
    config = served_config(tmp_path, "audit" if place == "folder" else "file/audit.jsonl")
    line = mistake_of(run(*command, "--config", str(config)))
    assert "config.toml: server.audit_log: " in line
    assert "cannot be opened" in line
