"""A server that dies without a word while it answers."""

import asyncio
import contextlib
import signal
import time

import httpx

from chatrack.config import ChatTable
from tests.support.client import deltas_of, say_when_free, words
from tests.support.process import until
from tests.support.serving import answer_of, is_delta, message

PAUSE = 0.02
SLOW = {"model": "fake-n1000-d20", "tools": "[]"}
LOST = round(1.5 / PAUSE)
"""How many tokens a crash may cost: those of about a second."""

SOON = "lease = 1\ncheckpoint = 0.1\nbusy_wait = 0.3"
"""For tests to which it makes no difference how long a lease is, or how old a checkpoint."""


async def crash(server, chat, request="threads.create", *, after=25, **params):
    """Kill a server once so much of the answer has come; give the thread, if new, and the text that came."""
    events = []
    with contextlib.suppress(httpx.TransportError):
        async with chat.stream(request, input=message("hello"), **params) as stream:
            async for event in stream:
                events.append(event)
                if sum(map(is_delta, events)) == after:
                    server.send(signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL
    thread = events[0]["thread"]["id"] if events[0]["type"] == "thread.created" else None
    return thread, deltas_of(events)


async def test_after_a_kill_mid_stream_the_thread_holds_all_but_the_last_second(started, configure):
    config = configure(chat="lease = 1\nbusy_wait = 0.3", **SLOW)
    server = await started.serve(config)
    async with server.chat() as chat:
        thread, received = await crash(server, chat, after=LOST + 25)

    server = await started.serve(config)
    async with server.chat() as chat:
        listed = await chat.get("threads.list", limit=20, order="desc")
        assert [entry["id"] for entry in listed["data"]] == [thread]
        items = await chat.items(thread)
        assert [item["type"] for item in items] == ["user_message", "assistant_message"]
        [kept] = await chat.answers(thread)
        assert words(1000).startswith(kept)
        assert len(received.split()) - len(kept.split()) <= LOST
        partial = items[1]
        assert partial == (await chat.get("threads.get_by_id", thread_id=thread))["items"]["data"][1]

        _, events = await say_when_free(chat, thread, "echo: and on", seconds=30)
        assert answer_of(events) == "and on"
        items = await chat.items(thread)
        assert [item["type"] for item in items] == ["user_message", "assistant_message"] * 2
        assert items[1] == partial
        assert await chat.answers(thread) == [kept, "and on"]
    assert await server.stop() == 0
    server.assert_clean()


async def test_a_thread_is_busy_until_the_lease_of_the_dead_server_expires(started, configure):
    config = configure(chat="lease = 4\nbusy_wait = 0.3", **SLOW)
    dying, other = await asyncio.gather(started.serve(config), started.serve(config))
    async with dying.chat() as chat, other.chat() as elsewhere:
        thread, _ = await crash(dying, chat)
        died = time.monotonic()
        response = await elsewhere.call(
            "threads.add_user_message", thread_id=thread, input=message("echo: early")
        )
        assert response.status_code == 409, response.text
        assert response.headers["content-type"].startswith("application/problem+json")
        assert int(response.headers["retry-after"]) >= 1

        refused, events = await say_when_free(elsewhere, thread, "echo: in time", seconds=30)
        assert answer_of(events) == "in time"
        assert refused > 0
        assert time.monotonic() - died >= 2
        questions = [item for item in await elsewhere.items(thread) if item["type"] == "user_message"]
        assert len(questions) == 2, "a refused message was stored"
    assert await other.stop() == 0
    other.assert_clean()


async def test_after_a_kill_the_model_is_told_of_the_interruption_and_sees_the_partial_answer(
    started, configure
):
    config = configure(chat=SOON, **SLOW)
    server = await started.serve(config)
    async with server.chat() as chat:
        thread, _ = await crash(server, chat)

    server = await started.serve(config)
    async with server.chat() as chat:
        [kept] = await chat.answers(thread)
        _, events = await say_when_free(chat, thread, "history?", seconds=30)
        history = answer_of(events)
        assert kept.strip() in history
        assert "interrupted" in history
        assert all("interrupted" not in str(item) for item in (await chat.items(thread))[:-1])


async def test_after_a_kill_in_a_later_turn_what_was_said_before_is_untouched(started, configure):
    config = configure(chat=SOON, **SLOW)
    server = await started.serve(config)
    async with server.chat() as chat:
        thread, _ = await chat.create("echo: before")
        before = await chat.items(thread)
        await crash(server, chat, "threads.add_user_message", thread_id=thread)

    server = await started.serve(config)
    async with server.chat() as chat:
        items = await chat.items(thread)
        assert items[:2] == before
        assert [item["type"] for item in items[2:]] == ["user_message", "assistant_message"]
        assert len({item["id"] for item in items}) == 4


async def test_after_a_kill_during_a_retry_the_old_answer_is_there(started, configure):
    config = configure("config.toml", chat=SOON, model="fake-n20", tools="[]")
    slow = configure("slow.toml", chat=SOON, **SLOW)
    server = await started.serve(config)
    async with server.chat() as chat:
        thread, _ = await chat.create("hello")
        before = await chat.items(thread)
    assert await server.stop() == 0

    server = await started.serve(slow)
    events = []
    async with server.chat() as chat:
        with contextlib.suppress(httpx.TransportError):
            async with chat.stream(
                "threads.retry_after_item", thread_id=thread, item_id=before[0]["id"]
            ) as stream:
                async for event in stream:
                    events.append(event)
                    if sum(map(is_delta, events)) == 25:
                        server.send(signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL

    server = await started.serve(config)
    async with server.chat() as chat:
        assert await chat.items(thread) == before
        _, events = await say_when_free(chat, thread, "echo: on", seconds=30)
        assert answer_of(events) == "on"
        assert (await chat.items(thread))[:2] == before
        assert len(await chat.items(thread)) == 4
    server.assert_clean()


async def test_a_request_that_waits_for_a_dead_server_is_answered_when_the_lease_expires(started, configure):
    config = configure(chat="lease = 2\nbusy_wait = 20", **SLOW)
    server = await started.serve(config)
    async with server.chat() as chat:
        thread, _ = await crash(server, chat)
    server = await started.serve(config)
    async with server.chat() as chat:
        assert answer_of(await chat.say(thread, "echo: patient")) == "patient"


def test_by_default_a_dead_server_blocks_a_thread_for_half_a_minute_at_most():
    assert ChatTable().lease <= 30
    assert ChatTable().checkpoint <= 1


async def test_a_kill_before_the_first_token_loses_only_the_answer(started, configure, provider):
    config = configure(model="fake-f60000", tools="[]", chat=SOON)
    server = await started.serve(config)
    async with server.chat() as chat:
        with contextlib.suppress(httpx.TransportError):
            async with chat.stream("threads.create", input=message("hello")) as stream:
                thread = (await anext(stream))["thread"]["id"]
                await provider.until("open", 1)
                server.send(signal.SIGKILL)
                async for _ in stream:
                    pass
    await until(lambda: not server.running, 30)

    server = await started.serve(config)
    async with server.chat() as chat:
        assert [item["type"] for item in await chat.items(thread)] == ["user_message"]
