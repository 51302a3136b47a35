"""A server that is paused for longer than its lease lasts."""

import asyncio
import signal

import pytest

from tests.support.leases import expire_leases
from tests.support.serving import answer_of, errors_of, is_delta, message
from tests.support.waiting import until

CHAT = "lease = 4\nbusy_wait = 0.3\ncheckpoint = 0.2"
"""Leases are renewed every second, so that a server soon notices that it has lost one."""

SHOWN = 25
"""Tokens that a client gets before the server is paused."""


async def begin(stream, events):
    """Read until some of the answer has come, and return the thread; the model holds the rest back."""
    events.append(await anext(stream))
    while sum(map(is_delta, events)) < SHOWN:
        events.append(await anext(stream))
    return events[0]["thread"]["id"]


async def pause(server, elsewhere, thread, store_url):
    """Stop a server when some of its answer is saved, and let its leases expire.

    It is in no transaction then, for which others would wait.
    """
    loop = asyncio.get_running_loop()

    async def saved():
        return len(await elsewhere.items(thread)) >= 2

    async def paused():
        woken = []

        def wake():
            woken.append(True)
            server.send(signal.SIGCONT)

        server.send(signal.SIGSTOP)
        waking = loop.call_later(5, wake)
        await elsewhere.get("threads.update", thread_id=thread, title="Paused")
        await expire_leases(store_url)
        waking.cancel()
        return not woken

    await until(saved)
    await until(paused)


@pytest.mark.parametrize(
    "come_meanwhile", [False, True], ids=["the answer is still coming", "the answer has come meanwhile"]
)
async def test_a_server_that_wakes_up_late_writes_nothing(
    started, configure, provider, store_url, come_meanwhile
):
    config = configure("sleeper.toml", model=f"fake-n250-h{SHOWN}", tools="[]", chat=CHAT)
    sleeper = await started.serve(config)
    other = await started.serve(configure("other.toml", tools="[]", chat=CHAT))
    async with sleeper.chat() as here, other.chat() as there:
        async with here.stream("threads.create", input=message("hello")) as stream:
            events = []
            thread = await begin(stream, events)
            await pause(sleeper, there, thread, store_url)

            assert answer_of(await there.say(thread, "echo: taken over")) == "taken over"
            await there.say(thread, "echo: once more")
            if come_meanwhile:
                await provider.release()
                await provider.until("finished", 3)
            before = await there.items(thread)
            assert [item["type"] for item in before] == ["user_message", "assistant_message"] * 3
            assert (await there.answers(thread))[1:] == ["taken over", "once more"]

            sleeper.send(signal.SIGCONT)
            events += [event async for event in stream]
        [error] = errors_of(events)
        assert events[-1] == error
        # "went on elsewhere"; or, if it was paused in a transaction, which the database has ended since, "unreachable"
        assert error["allow_retry"] is ("database" in error["message"])
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


async def test_a_server_that_wakes_up_late_adds_nothing_to_a_turn_under_way_elsewhere(
    started, configure, provider, store_url
):
    config = configure(model=f"fake-n100-h{SHOWN}", tools="[]", chat=CHAT)
    sleeper, other = await asyncio.gather(started.serve(config), started.serve(config))
    async with sleeper.chat() as here, other.chat() as there:
        async with here.stream("threads.create", input=message("hello")) as stream:
            thread = await begin(stream, [])
            await pause(sleeper, there, thread, store_url)

            async with there.stream(
                "threads.add_user_message", thread_id=thread, input=message("go on")
            ) as taking:
                taken = [await anext(taking)]
                while not is_delta(taken[-1]):
                    taken.append(await anext(taking))
                sleeper.send(signal.SIGCONT)
                rest = await _rest(stream)
                await provider.release()
                taken += await _rest(taking)
        assert len(errors_of(rest)) == 1
        assert not errors_of(taken)
        assert len(answer_of(taken).split()) == 100
        items = await here.items(thread)
        assert [item["type"] for item in items] == ["user_message", "assistant_message"] * 2
        assert (await here.answers(thread))[1] == answer_of(taken)
    for server in (sleeper, other):
        assert await server.stop() == 0
        server.assert_clean("turn lost its thread")


@pytest.mark.parametrize(
    ("lease", "seconds"), [(30, 1), (1, 2)], ids=["a pause shorter than the lease", "a longer one"]
)
async def test_a_pause_costs_nothing_if_nobody_has_taken_the_thread(
    started, configure, provider, lease, seconds
):
    server = await started.serve(configure(model=f"fake-n60-h{SHOWN}", tools="[]", chat=f"lease = {lease}"))
    async with server.chat() as chat:
        async with chat.stream("threads.create", input=message("hello")) as stream:
            events = []
            thread = await begin(stream, events)
            server.send(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            await provider.release()
            server.send(signal.SIGCONT)
            events += await _rest(stream)
        assert not errors_of(events)
        assert len((await chat.answers(thread))[0].split()) == 60
    assert await server.stop() == 0
    server.assert_clean()


async def _rest(stream):
    return [event async for event in stream]
