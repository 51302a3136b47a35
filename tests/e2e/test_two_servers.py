"""Two servers over one database."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.support.client import deltas_of, words
from tests.support.databases import only_sqlite
from tests.support.serving import answer_of, errors_of, is_delta, message
from tests.support.waiting import until, until_turns

THREADS = 20


@pytest.fixture
async def pair(started, configure):
    """Two servers over one database, whose model holds its answers back."""
    config = configure(model="fake-n60-h10", tools="[]", chat="busy_wait = 0.1")
    servers = await asyncio.gather(started.serve(config), started.serve(config))
    yield servers
    for server in servers:
        assert await server.stop() == 0
        server.assert_clean()


async def test_a_busy_thread_is_busy_on_the_other_server_too(pair, provider):
    first, second = pair
    async with first.chat() as here, second.chat() as there:
        async with here.stream("threads.create", input=message("hello")) as stream:
            events = [await anext(stream)]
            thread = events[0]["thread"]["id"]
            while not is_delta(events[-1]):
                events.append(await anext(stream))

            response = await there.call(
                "threads.add_user_message", thread_id=thread, input=message("echo: early")
            )
            assert response.status_code == 409, response.text
            assert response.headers["content-type"].startswith("application/problem+json")
            assert response.json()["status"] == 409
            assert response.headers["x-request-id"] == response.json()["request_id"]
            assert int(response.headers["retry-after"]) >= 1

            free, _ = await there.create("echo: elsewhere")
            assert await there.answers(free) == ["elsewhere"]
            assert await here.answers(free) == ["elsewhere"]

            await provider.release()
            events += [event async for event in stream]
        assert not errors_of(events)
        assert answer_of(events) == words(60)
        # what was refused is taken now
        assert answer_of(await there.say(thread, "echo: now")) == "now"
        assert await here.answers(thread) == [words(60), "now"]
        assert [item["type"] for item in await here.items(thread)] == [
            "user_message",
            "assistant_message",
        ] * 2


async def test_a_thread_that_is_deleted_on_the_other_server_ends_its_turn(started, configure, provider):
    config = configure(model="fake-h5", tools="[]", chat="lease = 1")  # so that the loss is soon noticed
    first, second = await asyncio.gather(started.serve(config), started.serve(config))
    async with first.chat() as here, second.chat() as there:
        async with here.stream("threads.create", input=message("hello")) as stream:
            thread = (await anext(stream))["thread"]["id"]
            await provider.until("open", 1)
            await there.get("threads.delete", thread_id=thread)
            events = await _rest(stream)
        assert len(errors_of(events)) == 1
        await provider.until("aborted", 1)
        assert (await here.call("items.list", thread_id=thread)).status_code == 404
        assert (await there.get("threads.list", limit=20, order="desc"))["data"] == []
        free, _ = await here.create("echo: still here")
        assert await here.answers(free) == ["still here"]
    for server in (first, second):
        assert await server.stop() == 0
        server.assert_clean("turn lost its thread")


async def test_many_threads_at_once_across_two_servers_are_all_complete(started, configure):
    config = configure(model="fake-n40-d5", tools="[]")
    servers = await asyncio.gather(started.serve(config), started.serve(config))
    async with servers[0].chat() as first_chat, servers[1].chat() as second_chat:

        async def talk(number):
            here, there = (first_chat, second_chat) if number % 2 else (second_chat, first_chat)
            thread, events = await here.create(f"hello {number}")
            second = await there.say(thread, f"echo: {number}")
            third = await here.say(thread, "and on")
            for events_of_turn in (events, second, third):
                assert not errors_of(events_of_turn)
            assert deltas_of(events) == answer_of(events) == words(40)
            return thread

        threads = await asyncio.gather(*(talk(number) for number in range(THREADS)))
        assert len(set(threads)) == THREADS
        for chat in (first_chat, second_chat):
            for number, thread in enumerate(threads):
                items = await chat.items(thread)
                assert [item["type"] for item in items] == ["user_message", "assistant_message"] * 3
                assert items[0]["content"][0]["text"] == f"hello {number}"
                assert await chat.answers(thread) == [words(40), str(number), words(40)]
            listed = await chat.get("threads.list", limit=100, order="desc")
            assert {thread["id"] for thread in listed["data"]} == set(threads)
    for server in servers:
        assert await server.stop() == 0
        server.assert_clean()


async def test_a_message_waits_for_a_turn_of_the_other_server(started, configure, provider):
    config = configure(model="fake-n60-h10", tools="[]", chat="busy_wait = 600")
    first, second = await asyncio.gather(started.serve(config), started.serve(config))
    async with first.chat() as here, second.chat() as there:
        async with here.stream("threads.create", input=message("hello")) as stream:
            thread = (await anext(stream))["thread"]["id"]
            saying = asyncio.create_task(there.say(thread, "echo: second"))
            await until_turns(there, 1)
            await provider.release()
            rest = await _rest(stream)
        assert not errors_of(rest)
        assert answer_of(await saying) == "second"
        assert await there.answers(thread) == [words(60), "second"]
    for server in (first, second):
        assert await server.stop() == 0
        server.assert_clean()


async def test_of_many_messages_to_one_thread_at_once_exactly_one_is_taken_at_a_time(pair, provider):
    first, second = pair
    async with first.chat() as here, second.chat() as there:
        thread, _ = await here.create("echo: begin")
        calls = [
            asyncio.create_task(
                chat.call("threads.add_user_message", thread_id=thread, input=message(f"number {number}"))
            )
            for number in range(5)
            for chat in (here, there)
        ]
        await until(lambda: sum(call.done() for call in calls) == 9)
        await provider.release()
        responses = await asyncio.gather(*calls)
        statuses = sorted(response.status_code for response in responses)
        assert statuses == [200] + [409] * 9
        assert await there.answers(thread) == ["begin", words(60)]
        assert len(await here.items(thread)) == 4


@pytest.fixture
def missing_file(store_url):
    """Remove the SQLite file."""
    Path(make_url(store_url).database).unlink()


@pytest.mark.usefixtures("missing_file")
@only_sqlite("the tests of the other stores start ten servers at once over an empty database")
async def test_servers_that_start_at_once_over_a_file_that_does_not_exist_all_serve(started, configure):
    config = configure(todos=True)
    servers = [started.spawn(config) for _ in range(3)]
    for server in servers:
        await server.ready()
        server.assert_clean()
    async with servers[0].chat() as chat, servers[2].chat() as other:
        thread, _ = await chat.create("echo: hello")
        assert await other.answers(thread) == ["hello"]
    for server in servers:
        assert await server.stop() == 0


async def _rest(stream):
    return [event async for event in stream]
