"""A turn whose database goes away in the middle: said at once, and stored when it is back."""

import asyncio

import pytest

from chatrack.errors import Unavailable
from tests.support.serving import answer_of, errors_of, is_delta, message, serving

METHODS = ("begin_turn", "write", "checkpoint", "renew", "end_turn", "load_history", "health")


class Outage:
    """Makes a store unreachable between two calls."""

    def __init__(self, store, patch) -> None:
        self.on = False
        for name in METHODS:
            patch.setattr(store, name, self._through(getattr(store, name)))

    def _through(self, method):
        async def call(*args, **options):
            if self.on:
                raise Unavailable("The database cannot be reached right now.", retry_after=5)
            return await method(*args, **options)

        return call


@pytest.fixture
async def slow(configure):
    async with serving(configure(model="fake-n60-d20", chat="checkpoint = 0.05\nlease = 4.0")) as chat:
        yield chat


async def seen_until_outage(chat, outage, deltas=10):
    async with chat.stream("threads.create", input=message("hello")) as stream:
        events = []
        async for event in stream:
            events.append(event)
            if sum(map(is_delta, events)) == deltas:
                outage.on = True
    return events[0]["thread"]["id"], events


async def test_the_stream_ends_with_an_error_and_what_was_seen_is_stored_when_the_database_is_back(
    slow, monkeypatch
):
    outage = Outage(slow.server.store, monkeypatch)
    thread, events = await asyncio.wait_for(seen_until_outage(slow, outage), 15)
    assert events[-1]["type"] == "error"
    assert events[-1]["allow_retry"]
    assert "database" in events[-1]["message"]
    assert len(slow.server.turns) == 1  # it waits, and nobody watches
    outage.on = False
    while len(slow.server.turns):
        await asyncio.sleep(0.02)
    shown = "".join(event["update"]["delta"] for event in events if is_delta(event))
    [answer] = await slow.answers(thread)
    assert answer.startswith(shown.strip())
    assert not errors_of(await slow.say(thread, "echo: again"))


async def test_a_database_that_stays_away_costs_no_more_than_the_lease(slow, monkeypatch):
    outage = Outage(slow.server.store, monkeypatch)
    thread, _ = await seen_until_outage(slow, outage)
    async with asyncio.timeout(10):
        while len(slow.server.turns):
            await asyncio.sleep(0.05)
    outage.on = False
    assert (await slow.answers(thread))[0].startswith("w0 w1")  # the last checkpoint
    assert answer_of(await slow.say(thread, "echo: again")) == "again"


async def test_a_request_meanwhile_is_a_503_with_retry_after(slow, monkeypatch):
    outage = Outage(slow.server.store, monkeypatch)
    outage.on = True
    response = await slow.call("threads.create", input=message("hello"))
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.headers["content-type"].startswith("application/problem+json")
    assert (await slow.http.get("/ready")).status_code == 503
    outage.on = False
    assert (await slow.http.get("/ready")).status_code == 200


async def test_a_checkpoint_that_failed_is_made_up_for(slow, monkeypatch):
    store = slow.server.store
    failures = []
    checkpoint = store.checkpoint

    async def fail_at_first(writes):
        if len(failures) < 3:
            failures.append(writes)
            raise Unavailable("gone", retry_after=5)
        await checkpoint(writes)

    monkeypatch.setattr(store, "checkpoint", fail_at_first)
    async with slow.stream("threads.create", input=message("hello")) as stream:
        thread = (await anext(stream))["thread"]["id"]
        async with asyncio.timeout(10):
            while not await slow.answers(thread):
                await asyncio.sleep(0.02)
        assert len(failures) == 3
        assert [event async for event in stream][-1]["type"] == "thread.item.done"
