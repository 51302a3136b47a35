"""A server that is stopped and started again."""

import signal

import pytest

from tests.support.serving import answer_of

QUIET = {"tools": "[]"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_conversations_are_there_after_a_restart(started, configure, number):
    config = configure(**QUIET)
    server = await started.serve(config)
    async with server.chat() as chat:
        first, _ = await chat.create("echo: one")
        await chat.say(first, "echo: two")
        second, _ = await chat.create("echo: other")
        listed = await chat.get("threads.list", limit=20, order="desc")
        threads = {
            thread: await chat.get("threads.get_by_id", thread_id=thread) for thread in (first, second)
        }
        items = {thread: await chat.items(thread) for thread in (first, second)}
    assert await server.stop(number) == 0
    server.assert_clean()

    server = await started.serve(config)
    async with server.chat() as chat:
        assert await chat.get("threads.list", limit=20, order="desc") == listed
        assert [thread["id"] for thread in listed["data"]] == [second, first]
        for thread in (first, second):
            assert await chat.get("threads.get_by_id", thread_id=thread) == threads[thread]
            assert await chat.items(thread) == items[thread]
        assert await chat.answers(first) == ["one", "two"]

        history = answer_of(await chat.say(first, "history?"))
        assert "assistant:two" in history
        assert len(await chat.items(first)) == 6
    assert await server.stop(number) == 0
    server.assert_clean()


async def test_what_was_done_to_threads_is_there_after_a_restart(started, configure):
    config = configure(**QUIET)
    server = await started.serve(config)
    async with server.chat() as chat:
        kept, _ = await chat.create("echo: one")
        gone, _ = await chat.create("echo: two")
        await chat.get("threads.update", thread_id=kept, title="A new name")
        await chat.get("threads.delete", thread_id=gone)
    assert await server.stop() == 0

    server = await started.serve(config)
    async with server.chat() as chat:
        listed = await chat.get("threads.list", limit=20, order="desc")
        assert [(thread["id"], thread["title"]) for thread in listed["data"]] == [(kept, "A new name")]
        assert (await chat.call("items.list", thread_id=gone)).status_code == 404
    assert await server.stop() == 0
    server.assert_clean()
