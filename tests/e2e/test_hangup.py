"""A client that disconnects in the middle of an answer."""

import asyncio
import socket

import pytest

from tests.support.client import answering, connect, create_request, deltas_of, words
from tests.support.databases import only_sqlite, over_apis_and_stores
from tests.support.serving import answer_of, message
from tests.support.waiting import until_idle, until_turns

ENDLESS = {"model": "fake-n90000-d20", "tools": "[]"}
"""A model whose answer does not end before its reader hangs up."""


@over_apis_and_stores
async def test_a_hang_up_closes_the_stream_of_the_provider(started, configure, provider, api):
    server = await started.serve(configure(api=api, chat="busy_wait = 600", **ENDLESS))
    async with server.chat() as chat:
        async with answering(chat, 20) as (_, events):
            thread = events[0]["thread"]["id"]
            assert (await provider.stats())["open"] == 1
        stats = await provider.until("aborted", 1)
        assert stats["open"] == stats["finished"] == 0

        # a new message waits for the old turn to end, and is not refused
        assert answer_of(await chat.say(thread, "echo: next")) == "next"
        items = await chat.items(thread)
        assert [item["type"] for item in items] == ["user_message", "assistant_message"] * 2
        [partial, _] = await chat.answers(thread)
        assert words(90_000).startswith(partial)
        assert partial.startswith(deltas_of(events))
        assert "cancelled" in answer_of(await chat.say(thread, "history?"))
    assert await server.stop() == 0
    server.assert_clean()


@over_apis_and_stores
async def test_a_hang_up_before_the_first_token_closes_the_stream_of_the_provider(
    started, configure, provider, api
):
    server = await started.serve(configure(model="fake-h0", tools="[]", api=api))
    async with server.chat() as chat:
        async with chat.stream("threads.create", input=message("hello")) as stream:
            thread = (await anext(stream))["thread"]["id"]
            await provider.until("open", 1)
        await provider.until("aborted", 1)
        await until_idle(chat)
        assert [item["type"] for item in await chat.items(thread)] == ["user_message"]
    assert await server.stop() == 0
    server.assert_clean()


@over_apis_and_stores
async def test_a_connection_that_is_reset_counts_as_a_hang_up(started, configure, provider, api):
    server = await started.serve(configure(api=api, **ENDLESS))
    with connect(server) as sock:
        sock.sendall(create_request())
        # what has arrived and was not read makes closing a reset
        while b"text_delta" not in await asyncio.to_thread(sock.recv, 1 << 16, socket.MSG_PEEK):
            await asyncio.sleep(0.02)
    await provider.until("aborted", 1)
    async with server.chat() as chat:
        await until_idle(chat)
        [thread] = (await chat.get("threads.list", limit=20, order="desc"))["data"]
        assert words(90_000).startswith((await chat.answers(thread["id"]))[0])
    assert await server.stop() == 0
    server.assert_clean()


@over_apis_and_stores
async def test_with_continue_the_answer_is_completed_without_its_reader(started, configure, provider, api):
    config = configure(model="fake-n60-h5", tools="[]", api=api, chat='on_disconnect = "continue"')
    server = await started.serve(config)
    async with server.chat() as chat:
        async with answering(chat, 5) as (_, events):
            thread = events[0]["thread"]["id"]
            [options] = [event for event in events if event["type"] == "stream_options"]
            assert options["stream_options"]["allow_cancel"] is False
        await until_turns(chat, 1)  # the server, which has answered this, has seen that the client is gone
        await provider.release()
        await provider.until("finished", 1)
        await until_idle(chat)
        assert (await provider.stats())["aborted"] == 0
        assert [item["type"] for item in await chat.items(thread)] == ["user_message", "assistant_message"]
        assert await chat.answers(thread) == [words(60)]
        assert answer_of(await chat.say(thread, "echo: next")) == "next"
    assert await server.stop() == 0
    server.assert_clean()


@only_sqlite("what a client is told does not come from the store")
async def test_with_cancel_the_client_is_told_that_it_may(started, configure, api):
    server = await started.serve(configure(tools="[]", api=api))
    async with server.chat() as chat:
        _, events = await chat.create("hello")
        [options] = [event for event in events if event["type"] == "stream_options"]
        assert options["stream_options"]["allow_cancel"] is True
    assert await server.stop() == 0
    server.assert_clean()


async def test_many_clients_that_hang_up_at_once_leave_nothing_behind(started, configure, provider):
    server = await started.serve(configure(model="fake-n90000-d50", tools="[]"))
    async with server.chat() as chat:

        async def talk():
            async with answering(chat, 3) as (_, events):
                return events

        talks = await asyncio.gather(*(talk() for _ in range(30)))
        stats = await provider.until("aborted", 30)
        assert stats["open"] == 0
        await until_idle(chat)
        for events in talks:
            [partial] = await chat.answers(events[0]["thread"]["id"])
            assert partial.startswith(deltas_of(events))
    assert await server.stop() == 0
    server.assert_clean()


@only_sqlite("nothing gets as far as the store")
@pytest.mark.parametrize("cut", [1, 40, 200])
async def test_a_request_that_is_cut_short_leaves_nothing_behind(started, configure, cut):
    server = await started.serve(configure(tools="[]"))
    with connect(server) as sock:
        sock.sendall(create_request()[:-cut])
        await asyncio.sleep(0.2)
    async with server.chat() as chat:
        await until_idle(chat)
        assert (await chat.get("threads.list", limit=20, order="desc"))["data"] == []
    assert await server.stop() == 0
    server.assert_clean()


async def test_a_client_that_hangs_up_while_its_message_waits_does_not_keep_the_thread(
    started, configure, provider
):
    server = await started.serve(configure(model="fake-n60-h5", tools="[]", chat="busy_wait = 600"))
    async with server.chat() as chat, answering(chat) as (stream, events):
        thread = events[0]["thread"]["id"]
        waiting = asyncio.create_task(
            chat.call("threads.add_user_message", thread_id=thread, input=message("echo: never mind"))
        )
        await until_turns(chat, 2)
        waiting.cancel()
        await asyncio.wait([waiting])
        await until_turns(chat, 2)  # the server, which has answered this, has seen that the client is gone
        await provider.release()
        events += [event async for event in stream]
        assert answer_of(events) == words(60)
        await until_idle(chat)
        assert answer_of(await chat.say(thread, "echo: next")) == "next"
        assert (await chat.answers(thread))[0] == words(60)
    assert await server.stop() == 0
    server.assert_clean()
