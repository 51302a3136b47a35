"""The config.toml that is shipped, alone in an empty folder."""

import json
import shutil
import subprocess

import pytest

from tests.support.client import events_in
from tests.support.databases import PLUGINS, only_sqlite, store_tables
from tests.support.process import ROOT
from tests.support.serving import answer_of, errors_of, message

as_it_stands = only_sqlite("it is what is shipped")


@pytest.fixture
def shipped(tmp_path, kind, store_url):
    """The shipped config, alone in a folder; for another store, with its name and its table."""
    folder = tmp_path / "alone"
    folder.mkdir()
    path = shutil.copy(ROOT / "config.toml", folder / "config.toml")
    if kind != "sqlite":
        text = path.read_text()
        assert text.count('"sqlite_store"') == 1
        text = text.replace('"sqlite_store"', f'"{PLUGINS[kind]}"')
        path.write_text(f"{text}\n{store_tables(kind, store_url)}")
    return path


@as_it_stands
async def test_the_shipped_config_serves_a_conversation_that_survives_a_restart(started, shipped):
    started.fresh = True  # the installed script, not a fork
    server = await started.serve(shipped)
    async with server.chat() as chat:
        thread, events = await chat.create("add buy milk to my todos")
        assert not errors_of(events)
        assert "buy milk" in answer_of(events).lower()
        events = await chat.say(thread, "list my todos")
        assert not errors_of(events)
        assert "buy milk" in answer_of(events).lower()
        items = await chat.items(thread)
        assert [item["type"] for item in items] == ["user_message", "workflow", "assistant_message"] * 2
    assert await server.stop() == 0
    server.assert_clean()

    started.fresh = False
    server = await started.serve(shipped)
    async with server.chat() as chat:
        [listed] = (await chat.get("threads.list", limit=20, order="desc"))["data"]
        assert listed["id"] == thread
        assert await chat.items(thread) == items
        _, events = await chat.create("list my todos")
        assert "buy milk" in answer_of(events).lower()
    assert await server.stop() == 0
    server.assert_clean()
    assert {path.name for path in shipped.parent.iterdir()} == {"config.toml", "data"}


def curl(url, body):
    """Send a request with curl, as the guide does."""
    command = [
        "curl", "--silent", "--show-error", "--no-buffer", "--noproxy", "*", "--max-time", "60",
        f"{url}/chatkit/api", "-H", "Content-Type: application/json", "-d", json.dumps(body),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return events_in(done.stdout)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_over_any_store_the_shipped_config_answers_curl_and_remembers_after_a_restart(started, shipped):
    server = await started.serve(shipped)
    events = curl(
        server.url, {"type": "threads.create", "params": {"input": message("add buy milk to my todos")}}
    )
    assert "buy milk" in answer_of(events).lower()
    thread = events[0]["thread"]["id"]
    params = {"thread_id": thread, "input": message("list my todos")}
    listing = {"type": "threads.add_user_message", "params": params}
    events = curl(server.url, listing)
    assert "buy milk" in answer_of(events).lower()
    assert await server.stop() == 0
    server.assert_clean()

    server = await started.serve(shipped)
    events = curl(server.url, listing)
    assert "buy milk" in answer_of(events).lower()
    async with server.chat() as chat:
        assert [item["type"] for item in await chat.items(thread)] == [
            "user_message",
            "workflow",
            "assistant_message",
        ] * 3
    assert await server.stop() == 0
    server.assert_clean()


@as_it_stands
async def test_the_shipped_config_serves_with_several_workers(started, shipped):
    server = await started.serve(shipped, "--workers", "2")
    await server.ready_workers(2)
    threads = []
    for _ in range(4):
        async with server.chat() as chat:
            thread, events = await chat.create("add buy milk to my todos")
            assert not errors_of(events)
            threads.append(thread)
    async with server.chat() as chat:
        listed = (await chat.get("threads.list", limit=20, order="desc"))["data"]
        assert {entry["id"] for entry in listed} == set(threads)
    assert await server.stop() == 0
    server.assert_clean()
