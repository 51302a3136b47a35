"""The config of compose.yaml, alone in a folder, with `DATABASE_URL`."""

import shutil
from pathlib import Path

import pytest

from tests.support.process import ROOT, Processes
from tests.support.serving import answer_of

SHIPPED = "config.postgres.toml"


@pytest.fixture
def kind() -> str:
    return "postgresql"


async def test_it_serves_a_conversation_and_keeps_the_todos_in_postgresql(
    started: Processes, tmp_path: Path, store_url: str
):
    config = Path(shutil.copy(ROOT / SHIPPED, tmp_path / "config.toml"))
    environ = {"DATABASE_URL": store_url.replace("postgresql://", "postgres://")}
    server = await started.serve(config, environ=environ)
    async with server.chat() as chat:
        thread, events = await chat.create("add buy milk to my todos")
        assert "buy milk" in answer_of(events)
    assert await server.stop() == 0
    server.assert_clean()
    again = await started.serve(config, environ=environ)
    async with again.chat() as chat:
        assert "buy milk" in answer_of(await chat.say(thread, "list my todos"))
    assert await again.stop() == 0


def test_compose_mounts_it_and_passes_the_variable_on():
    compose = (ROOT / "compose.yaml").read_text()
    assert f"./{SHIPPED}:/app/config.toml:ro" in compose
    assert "DATABASE_URL: ${DATABASE_URL:-postgresql://" in compose
