"""Several processes behind one port (a worker that cannot start must not be started again for ever)."""

import asyncio
import os
import signal
import socket

import pytest

from tests.support.client import answering, deltas_of, words
from tests.support.databases import only_sqlite
from tests.support.process import START, alive, install
from tests.support.serving import answer_of, errors_of
from tests.support.waiting import until

BOTH = ("--workers", "2")

about_processes = only_sqlite("how workers come and go has nothing to do with the store")

UNSTEADY = """
import asyncio, contextlib, os, signal
from pathlib import Path

import chatrack


class Plugin:
    api = 1

    class Settings(chatrack.Settings):
        starts: Path
        good: int
        then: str

    def __init__(self, settings):
        self.settings = settings

    @chatrack.hookimpl
    def lifespan(self):
        return self.start()

    @contextlib.asynccontextmanager
    async def start(self):
        with self.settings.starts.open("a") as file:
            file.write(f"{os.getpid()}\\n")
        if len(self.settings.starts.read_text().splitlines()) > self.settings.good:
            if self.settings.then == "raise":
                raise RuntimeError("the tap is dry")
            if self.settings.then == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            await asyncio.sleep(600)
        yield
"""


@pytest.fixture
def unsteady(tmp_path, configure):
    """A config and an environment with a plugin that starts a number of times, and then fails."""

    def configure_unsteady(good, then="raise"):
        config = configure(
            enabled='["sqlite_store", "openai_provider", "todo_tools", "unsteady"]',
            extra=f'[plugins.unsteady]\nstarts = "starts.txt"\ngood = {good}\nthen = "{then}"\n',
        )
        return config, install(tmp_path / "site", "unsteady", UNSTEADY)

    return configure_unsteady


def starts(tmp_path):
    path = tmp_path / "starts.txt"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


async def get(server, path="/health"):
    """Send a request over a new connection, and return the status."""
    async with server.http() as http:
        return (await http.get(path)).status_code


async def test_each_of_two_workers_serves(started, configure):
    server = await started.serve(configure(model="fake", tools="[]"), *BOTH)
    pids = await server.ready_workers(2)
    assert server.pid not in pids
    for pid in pids:
        [other] = set(pids) - {pid}
        os.kill(other, signal.SIGSTOP)  # so it is this one that answers
        try:
            assert await get(server) == 200
            async with server.chat() as chat:
                thread, _ = await chat.create(f"echo: {pid}")
                assert await chat.answers(thread) == [str(pid)]
        finally:
            os.kill(other, signal.SIGCONT)
    async with server.chat() as chat:
        assert len((await chat.get("threads.list", limit=20, order="desc"))["data"]) == 2
    assert await server.stop() == 0
    server.assert_clean()


async def test_a_turn_on_one_worker_makes_its_thread_busy_on_the_other(started, configure, provider):
    config = configure(model="fake-n60-h5", tools="[]", chat="busy_wait = 0.1")
    server = await started.serve(config, *BOTH)
    await server.ready_workers(2)
    async with server.chat() as chat, answering(chat) as (stream, events):
        thread = events[0]["thread"]["id"]
        for _ in range(6):  # over connections of their own: some of these reach the other worker
            async with server.chat() as another:
                response = await another.call(
                    "threads.retry_after_item", thread_id=thread, item_id=await _first(another, thread)
                )
                assert response.status_code == 409, response.text
        await provider.release()
        events += [event async for event in stream]
    assert answer_of(events) == words(60)
    assert await server.stop() == 0
    server.assert_clean()


async def test_a_worker_that_is_killed_is_replaced(started, configure):
    server = await started.serve(configure(model="fake", tools="[]"), *BOTH)
    first, second = await server.ready_workers(2)
    async with server.chat() as chat:
        thread, _ = await chat.create("echo: before")
    os.kill(first, signal.SIGKILL)
    pids = await until(
        lambda: (found := server.workers()) and len(found) == 2 and first not in found and found,
        otherwise=server.log,
    )
    assert second in pids
    assert await get(server) == 200  # while the new one starts
    await until(lambda: server.log().count("url=http://") == 3, START, server.log)
    os.kill(second, signal.SIGSTOP)
    try:
        async with server.chat() as chat:
            assert answer_of(await chat.say(thread, "echo: after")) == "after"
    finally:
        os.kill(second, signal.SIGCONT)
    assert await server.stop() == 0
    server.assert_clean("a worker died")
    assert server.log().count("a worker died") == 1
    assert not any(map(alive, pids))


@about_processes
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_signal_to_the_parent_ends_all_workers(started, configure, number):
    server = await started.serve(configure(), *BOTH)
    pids = await server.ready_workers(2)
    assert await server.stop(number) == 0
    assert not any(map(alive, pids))
    server.assert_clean()


@about_processes
async def test_streams_finish_within_the_grace_when_the_parent_is_told_to_stop(started, configure, provider):
    server = await started.serve(
        configure(model="fake-n60-h5", tools="[]", server="shutdown_grace = 600"), *BOTH
    )
    pids = await server.ready_workers(2)

    async with server.chat() as chat, answering(chat) as (stream, events):
        server.send(signal.SIGTERM)
        await until(lambda: "stopping" in server.log(), otherwise=server.log)
        await provider.release()
        events += [event async for event in stream]
    assert await server.wait() == 0
    assert not errors_of(events)
    assert answer_of(events) == words(60)
    assert not any(map(alive, pids))
    server.assert_clean()


@about_processes
async def test_ctrl_c_in_a_terminal_which_reaches_parent_and_workers_leaves_streams_their_grace(
    started, configure, provider
):
    server = await started.serve(
        configure(model="fake-n60-h5", tools="[]", server="shutdown_grace = 600"), *BOTH
    )
    pids = await server.ready_workers(2)
    async with server.chat() as chat, answering(chat) as (stream, events):
        os.killpg(server.pid, signal.SIGINT)
        await until(lambda: "stopping" in server.log(), otherwise=server.log)
        await provider.release()
        events += [event async for event in stream]
    assert await server.wait() == 0
    assert not errors_of(events)
    assert answer_of(events) == words(60)
    assert not any(map(alive, pids))
    server.assert_clean()


@about_processes
async def test_a_second_signal_to_the_parent_cuts_the_grace_short(started, configure):
    config = configure(model="fake-n20000-d50", tools="[]", server="shutdown_grace = 600")
    server = await started.serve(config, *BOTH)
    pids = await server.ready_workers(2)
    async with server.chat() as chat, answering(chat) as (stream, events):
        server.send(signal.SIGTERM)
        await until(lambda: "stopping" in server.log(), otherwise=server.log)
        events += [await anext(stream) for _ in range(5)]  # it goes on
        server.send(signal.SIGTERM)
        events += [event async for event in stream]
    assert await server.wait() == 0
    assert len(errors_of(events)) == 1
    assert answer_of(events) == deltas_of(events)
    assert not any(map(alive, pids))
    server.assert_clean("turn refused")


@about_processes
@pytest.mark.parametrize("then", ["raise", "die"])
async def test_workers_that_cannot_start_end_the_parent(started, unsteady, tmp_path, then):
    config, environ = unsteady(1, then)
    server = started.spawn(config, *BOTH, environ=environ)
    assert await server.wait(START) == 2
    begun = starts(tmp_path)
    assert begun[0] == server.pid
    assert len(begun) <= 3, "a worker was started again"
    assert not any(map(alive, begun))
    assert server.log().count("a worker could not start") == 1
    assert server.log().count("the tap is dry") <= 2  # each worker may say it
    if then == "raise":
        assert "plugin unsteady (unsteady 1.0): start:" in server.log()
    server.assert_clean("a worker could not start")


@about_processes
@pytest.mark.parametrize("then", ["raise", "die"])
async def test_a_replacement_that_cannot_start_ends_the_parent(started, unsteady, tmp_path, then):
    config, environ = unsteady(3, then)
    server = await started.serve(config, *BOTH, environ=environ)
    pids = await server.ready_workers(2)
    assert len(starts(tmp_path)) == 3
    os.kill(pids[0], signal.SIGKILL)
    assert await server.wait(START) == 2
    assert len(starts(tmp_path)) == 4
    assert not any(map(alive, [*pids, *starts(tmp_path)]))
    assert server.log().count("a worker could not start") == 1
    server.assert_clean("a worker could not start", "a worker died")


@about_processes
async def test_workers_that_die_again_and_again_end_the_parent(started, configure):
    server = await started.serve(configure(), *BOTH)
    killed = set()

    def kill_one_or_see_the_end():
        ready = server.log().count("url=http://") - len(killed)
        fresh = [pid for pid in server.workers() if pid not in killed]
        if ready >= 2 and len(fresh) == 2:
            killed.add(fresh[0])
            os.kill(fresh[0], signal.SIGKILL)
        return not server.running

    await until(kill_one_or_see_the_end, START, server.log)
    assert await server.wait() == 2
    assert len(killed) <= 20
    assert not any(map(alive, killed))
    assert server.log().count("workers die too often") == 1
    server.assert_clean("a worker died", "workers die too often")


@about_processes
async def test_a_mistake_in_the_config_ends_the_start_before_there_are_workers(started, write_config):
    config = write_config('enabled = ["sqlite_store", "no_such_plugin"]\n')
    server = started.spawn(config, *BOTH)
    assert await server.wait(START) == 2
    assert server.log().count("no_such_plugin") == len(server.log().splitlines()) == 1
    server.assert_clean()


@about_processes
async def test_a_port_that_is_taken_ends_the_start_before_there_are_workers(started, configure):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = started.spawn(configure(), *BOTH, port=port)
        assert await server.wait(START) == 2
    assert server.log().count(str(port)) == len(server.log().splitlines()) == 1
    server.assert_clean()


@about_processes
async def test_a_plugin_that_never_starts_ends_the_start_before_there_are_workers(
    started, unsteady, tmp_path
):
    config, environ = unsteady(0)
    server = started.spawn(config, *BOTH, environ=environ)
    assert await server.wait(START) == 2
    assert starts(tmp_path) == [server.pid]
    assert server.log().count("the tap is dry") == 1
    assert "worker" not in server.log()
    server.assert_clean()


@only_sqlite("other kinds are not opened but connected to: see the tests of their plugins")
async def test_a_database_that_cannot_be_opened_ends_the_start_before_there_are_workers(
    started, configure, tmp_path
):
    (tmp_path / "chat.db").unlink()
    (tmp_path / "chat.db").mkdir()
    server = started.spawn(configure(), *BOTH)
    assert await server.wait(START) == 2
    assert "plugins.sqlite_store.path" in server.log()
    assert "worker" not in server.log()
    server.assert_clean("database unavailable")


@about_processes
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_signal_during_the_start_ends_it_at_once_and_without_a_traceback(
    started, unsteady, tmp_path, workers, number
):
    good = int(workers) - 1  # with workers, the parent has tried it out before
    config, environ = unsteady(good, "wait")
    server = started.spawn(config, "--workers", workers, environ=environ)
    await until(lambda: len(starts(tmp_path)) > good, START, server.log)
    await asyncio.sleep(0.5)
    await server.stop(number)
    assert not any(map(alive, starts(tmp_path)))
    server.assert_clean()


async def _first(chat, thread):
    return (await chat.items(thread))[0]["id"]
