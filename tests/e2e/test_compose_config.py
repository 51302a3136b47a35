"""The configs of containers, each alone in a folder, with users who have tokens."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from tests.support.commands import run
from tests.support.process import ROOT, Processes, Server
from tests.support.serving import Chat, answer_of

SECRET = "s3cret" * 8

SHIPPED = {"postgresql": "config.postgres.toml", "sqlite": "config.docker.toml"}


@pytest.fixture(params=SHIPPED)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def config(kind: str, tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    return Path(shutil.copy(ROOT / SHIPPED[kind], folder / "config.toml"))


@pytest.fixture
def environ(kind: str, store_url: str) -> dict[str, str]:
    if kind == "sqlite":
        return {"JWT_SECRET": SECRET}
    return {"JWT_SECRET": SECRET, "DATABASE_URL": store_url.replace("postgresql://", "postgres://")}


@pytest.fixture
def chat_of(
    config: Path, environ: dict[str, str]
) -> Callable[[Server, str], AbstractAsyncContextManager[Chat]]:
    """Open a chat of a user, with a token that `chatrack token` prints."""

    @asynccontextmanager
    async def open_chat(server: Server, user: str) -> AsyncIterator[Chat]:
        issued = run("token", "--config", str(config), "--user", user, env=dict(environ))
        assert (issued.code, issued.err) == (0, "")
        async with server.chat() as chat:
            chat.http.headers["authorization"] = f"Bearer {issued.out.strip()}"
            yield chat

    return open_chat


async def test_it_serves_a_conversation_to_a_user_with_a_token_and_keeps_the_todos(
    started: Processes, config: Path, environ: dict[str, str], chat_of
):
    server = await started.serve(config, environ=environ)
    async with chat_of(server, "ada") as chat:
        thread, events = await chat.create("add buy milk to my todos")
        assert "buy milk" in answer_of(events)
    async with chat_of(server, "eve") as chat:
        assert (await chat.call("threads.get_by_id", thread_id=thread)).status_code == 404
    async with server.chat() as chat:
        assert (await chat.call("threads.list")).status_code == 401
    assert await server.stop() == 0
    server.assert_clean()
    again = await started.serve(config, environ=environ)
    async with chat_of(again, "ada") as chat:
        assert "buy milk" in answer_of(await chat.say(thread, "list my todos"))
    assert await again.stop() == 0
