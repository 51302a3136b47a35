"""A server that is paused for longer than its lease, and wakes up late."""

import asyncio
import signal

import pytest

from tests.support.client import say_when_free
from tests.support.process import until
from tests.support.serving import answer_of, errors_of, is_delta, message

CHAT = "lease = 1\nbusy_wait = 0.3\ncheckpoint = 0.2"


async def pause(server, elsewhere, thread):
    """Stop a server when some of its answer is saved, and it is in no transaction, for which others would wait."""
    async with asyncio.timeout(30):
        while len(await elsewhere.items(thread)) < 2:
            await asyncio.sleep(0.05)
        while True:
            server.send(signal.SIGSTOP)
            try:
                async with asyncio.timeout(1):
                    await elsewhere.get("threads.update", thread_id=thread, title="Paused")
            except TimeoutError:
                server.send(signal.SIGCONT)
                await asyncio.sleep(0.05)
            else:
                return


@pytest.mark.parametrize(
    ("model", "come_meanwhile"),
    [("fake-n2000-d20", False), ("fake-n250-d20", True)],
    ids=["the answer is still coming", "the answer has come meanwhile"],
)
async def test_a_server_that_wakes_up_late_writes_nothing(
    started, configure, provider, model, come_meanwhile
):
    sleeper = await started.serve(configure("sleeper.toml", model=model, tools="[]", chat=CHAT))
    other = await started.serve(configure("other.toml", model="fake-n30-d5", tools="[]", chat=CHAT))
    async with sleeper.chat() as here, other.chat() as there:
        events = []

        async def watch():
            async with here.stream("threads.create", input=message("hello")) as stream:
                async for event in stream:
                    events.append(event)  # noqa: PERF401  (they are looked at while they come)

        watching = asyncio.create_task(watch())
        try:
            await until(lambda: sum(map(is_delta, events)) >= 25, 30)
            thread = events[0]["thread"]["id"]
            await pause(sleeper, there, thread)

            _, taken = await say_when_free(there, thread, "echo: taken over", seconds=30)
            assert answer_of(taken) == "taken over"
            await there.say(thread, "echo: once more")
            if come_meanwhile:
                await provider.until("finished", 3)
            before = await there.items(thread)
            assert [item["type"] for item in before] == ["user_message", "assistant_message"] * 3
            assert (await there.answers(thread))[1:] == ["taken over", "once more"]

            sleeper.send(signal.SIGCONT)
            await asyncio.wait_for(watching, 30)
        finally:
            watching.cancel()
        [error] = errors_of(events)
        assert events[-1] == error
        assert error["allow_retry"] is False
        assert not answer_of(events)

        free, _ = await here.create("echo: awake")  # it serves on
        assert await here.answers(free) == ["awake"]
        await asyncio.sleep(1)  # for some checkpoints and renewals, which would be written by now
        assert await there.items(thread) == before
        assert await here.items(thread) == before
        # and what is written now is in its place
        assert answer_of(await here.say(thread, "echo: back")) == "back"
        assert (await there.items(thread))[: len(before)] == before
        assert (await there.answers(thread))[-1] == "back"
    for server in (sleeper, other):
        assert await server.stop() == 0
        server.assert_clean("turn lost its thread")
    assert "turn lost its thread" in sleeper.log()


async def test_a_server_that_wakes_up_late_adds_nothing_to_a_turn_under_way_elsewhere(started, configure):
    sleeper = await started.serve(configure("sleeper.toml", model="fake-n2000-d20", tools="[]", chat=CHAT))
    other = await started.serve(configure("other.toml", model="fake-n100-d20", tools="[]", chat=CHAT))
    async with sleeper.chat() as here, other.chat() as there:
        async with here.stream("threads.create", input=message("hello")) as stream:
            thread = (await anext(stream))["thread"]["id"]
            shown = 0
            while shown < 20:
                shown += is_delta(await anext(stream))
            await pause(sleeper, there, thread)

            taking = asyncio.create_task(say_when_free(there, thread, "go on", seconds=30))
            try:
                while len(await there.items(thread)) < 3:  # until its message is in
                    await asyncio.sleep(0.05)
                    assert not taking.done(), "it was over before the other woke up"
                sleeper.send(signal.SIGCONT)
                rest = await asyncio.wait_for(_rest(stream), 30)
                _, taken = await taking
            finally:
                taking.cancel()
        assert len(errors_of(rest)) == 1
        assert not errors_of(taken)
        assert len(answer_of(taken).split()) == 100
        items = await here.items(thread)
        assert [item["type"] for item in items] == ["user_message", "assistant_message"] * 2
        assert (await here.answers(thread))[1] == answer_of(taken)
    for server in (sleeper, other):
        assert await server.stop() == 0
        server.assert_clean("turn lost its thread")


async def test_a_pause_shorter_than_the_lease_costs_nothing(started, configure):
    server = await started.serve(configure(model="fake-n60-d20", tools="[]", chat="lease = 20"))
    async with server.chat() as chat:
        async with chat.stream("threads.create", input=message("hello")) as stream:
            events = [await anext(stream)]
            while not is_delta(events[-1]):
                events.append(await anext(stream))
            server.send(signal.SIGSTOP)
            await asyncio.sleep(1)
            server.send(signal.SIGCONT)
            events += await _rest(stream)
        assert not errors_of(events)
        assert len(answer_of(events).split()) == 60
    assert await server.stop() == 0
    server.assert_clean()


async def test_a_server_that_wakes_up_after_its_lease_goes_on_if_nobody_has_taken_the_thread(
    started, configure
):
    server = await started.serve(configure(model="fake-n60-d20", tools="[]", chat=CHAT))
    async with server.chat() as chat:
        async with chat.stream("threads.create", input=message("hello")) as stream:
            events = [await anext(stream)]
            thread = events[0]["thread"]["id"]
            while not is_delta(events[-1]):
                events.append(await anext(stream))
            server.send(signal.SIGSTOP)
            await asyncio.sleep(2)
            server.send(signal.SIGCONT)
            events += await _rest(stream)
        assert not errors_of(events)
        assert len((await chat.answers(thread))[0].split()) == 60
    assert await server.stop() == 0
    server.assert_clean()


async def _rest(stream):
    return [event async for event in stream]
