"""A server that is killed while it answers."""

import asyncio
import contextlib
import signal

import httpx
from sqlalchemy import func, select

from chatrack.config import ChatTable
from chatrack.sql import Database
from chatrack.sql.tables import items as item_rows
from tests.support.client import deltas_of, say_when_free, words
from tests.support.leases import expire_leases
from tests.support.serving import answer_of, is_delta, message
from tests.support.waiting import until

SHOWN = 25
"""Tokens that a client gets before the server dies."""

HELD = {"model": f"fake-n1000-h{SHOWN}", "tools": "[]"}
"""A model that stops there, so that all of them are stored sooner or later."""

CHAT = "lease = 30\nbusy_wait = 0.3"
QUICK = f"{CHAT}\ncheckpoint = 0.1"
"""For tests to which it makes no difference how old a checkpoint is."""


async def crash(server, chat, request="threads.create", **params):
    """Kill a server in the middle of an answer, once the text that its client has is stored; return thread and text."""
    with contextlib.suppress(httpx.TransportError):
        async with chat.stream(request, input=message("hello"), **params) as stream:
            events = [await anext(stream)]
            thread = params.get("thread_id") or events[0]["thread"]["id"]
            while sum(map(is_delta, events)) < SHOWN:
                events.append(await anext(stream))
            received = deltas_of(events)

            async def stored():
                return (await chat.answers(thread))[-1:] == [received]

            await until(stored)
            server.send(signal.SIGKILL)
            async for _ in stream:
                pass
    assert await server.wait() == -signal.SIGKILL
    return thread, received


async def test_after_a_kill_mid_stream_the_thread_holds_what_was_shown_before(started, configure, store_url):
    config = configure(chat=CHAT, **HELD)
    server = await started.serve(config)
    async with server.chat() as chat:
        thread, received = await crash(server, chat)

    server = await started.serve(config)
    async with server.chat() as chat:
        listed = await chat.get("threads.list", limit=20, order="desc")
        assert [entry["id"] for entry in listed["data"]] == [thread]
        items = await chat.items(thread)
        assert [item["type"] for item in items] == ["user_message", "assistant_message"]
        assert received == words(SHOWN)
        assert await chat.answers(thread) == [received]
        partial = items[1]
        assert partial == (await chat.get("threads.get_by_id", thread_id=thread))["items"]["data"][1]

        await expire_leases(store_url)
        _, events = await say_when_free(chat, thread, "echo: and on")
        assert answer_of(events) == "and on"
        items = await chat.items(thread)
        assert [item["type"] for item in items] == ["user_message", "assistant_message"] * 2
        assert items[1] == partial
        assert await chat.answers(thread) == [received, "and on"]
    assert await server.stop() == 0
    server.assert_clean()


async def test_a_thread_is_busy_until_the_lease_of_the_dead_server_expires(started, configure, store_url):
    config = configure(chat=CHAT, **HELD)
    dying, other = await asyncio.gather(started.serve(config), started.serve(config))
    async with dying.chat() as chat, other.chat() as elsewhere:
        thread, _ = await crash(dying, chat)
        response = await elsewhere.call(
            "threads.add_user_message", thread_id=thread, input=message("echo: early")
        )
        assert response.status_code == 409, response.text
        assert response.headers["content-type"].startswith("application/problem+json")
        assert int(response.headers["retry-after"]) >= 1

        await expire_leases(store_url)
        assert answer_of(await elsewhere.say(thread, "echo: in time")) == "in time"
        questions = [item for item in await elsewhere.items(thread) if item["type"] == "user_message"]
        assert len(questions) == 2, "a refused message was stored"
    assert await other.stop() == 0
    other.assert_clean()


async def test_a_request_that_waits_for_a_dead_server_is_answered_when_the_lease_expires(started, configure):
    config = configure(chat="lease = 2\nbusy_wait = 600", **HELD)
    server = await started.serve(config)
    async with server.chat() as chat:
        thread, _ = await crash(server, chat)
    server = await started.serve(config)
    async with server.chat() as chat:
        assert answer_of(await chat.say(thread, "echo: patient")) == "patient"


async def test_after_a_kill_the_model_is_told_of_the_interruption_and_sees_the_partial_answer(
    started, configure, store_url
):
    config = configure(chat=QUICK, **HELD)
    server = await started.serve(config)
    async with server.chat() as chat:
        thread, received = await crash(server, chat)

    await expire_leases(store_url)
    server = await started.serve(configure(chat=QUICK, tools="[]"))
    async with server.chat() as chat:
        history = answer_of(await chat.say(thread, "history?"))
        assert received.strip() in history
        assert "interrupted" in history
        assert all("interrupted" not in str(item) for item in (await chat.items(thread))[:-1])


async def test_after_a_kill_in_a_later_turn_what_was_said_before_is_untouched(started, configure):
    config = configure(chat=QUICK, **HELD)
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


async def count_uncommitted(url):
    """Count the items of a retry that is under way."""
    database = Database(url)
    await database.start()
    try:
        async with database.read() as connection:
            query = select(func.count()).select_from(item_rows).where(item_rows.c.uncommitted)
            return (await connection.execute(query)).scalar_one()
    finally:
        await database.stop()


async def test_after_a_kill_during_a_retry_the_old_answer_is_there(started, configure, provider, store_url):
    config = configure(chat=QUICK, **HELD)
    await provider.release()
    server = await started.serve(config)
    async with server.chat() as chat:
        thread, _ = await chat.create("hello")
        before = await chat.items(thread)
        await provider.reset()
        with contextlib.suppress(httpx.TransportError):
            async with chat.stream(
                "threads.retry_after_item", thread_id=thread, item_id=before[0]["id"]
            ) as stream:
                events = []
                while sum(map(is_delta, events)) < SHOWN:
                    events.append(await anext(stream))
                await until(lambda: count_uncommitted(store_url))
                server.send(signal.SIGKILL)
                async for _ in stream:
                    pass
    assert await server.wait() == -signal.SIGKILL

    server = await started.serve(config)
    async with server.chat() as chat:
        assert await chat.items(thread) == before
        await expire_leases(store_url)
        assert answer_of(await chat.say(thread, "echo: on")) == "on"
        assert (await chat.items(thread))[:2] == before
        assert len(await chat.items(thread)) == 4
    server.assert_clean()


def test_by_default_a_dead_server_blocks_a_thread_for_half_a_minute_at_most():
    assert ChatTable().lease <= 30
    assert ChatTable().checkpoint <= 1


async def test_a_kill_before_the_first_token_loses_only_the_answer(started, configure, provider):
    config = configure(model="fake-h0", tools="[]", chat=QUICK)
    server = await started.serve(config)
    async with server.chat() as chat:
        with contextlib.suppress(httpx.TransportError):
            async with chat.stream("threads.create", input=message("hello")) as stream:
                thread = (await anext(stream))["thread"]["id"]
                await provider.until("open", 1)
                server.send(signal.SIGKILL)
                async for _ in stream:
                    pass
    await server.wait()

    server = await started.serve(config)
    async with server.chat() as chat:
        assert [item["type"] for item in await chat.items(thread)] == ["user_message"]
