"""A turn whose database goes away in the middle: said at once, and stored when it is back."""

import pytest

from chatrack.errors import Unavailable
from tests.support.clock import advance
from tests.support.leases import expire_leases
from tests.support.serving import answer_of, errors_of, is_delta, message, serving
from tests.support.waiting import until, until_idle

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


HELD = 10
"""Words that come before the model is held back."""


@pytest.fixture
async def slow(configure):
    """A server whose model stops in the middle of an answer of 60 words."""
    async with serving(configure(model=f"fake-n60-h{HELD}", chat="checkpoint = 0.05\nlease = 20")) as chat:
        yield chat


async def begin(stream, chat):
    """Read what comes before the model is held back, and wait until it is saved; return it."""
    events = []
    while sum(map(is_delta, events)) < HELD:
        events.append(await anext(stream))
    thread = events[0]["thread"]["id"]

    async def saved():
        return await chat.answers(thread) == ["".join(f"w{number} " for number in range(HELD))]

    await until(saved)
    return thread, events


async def answer_during_outage(chat, upstream, outage):
    """Read an answer during which the database goes away."""
    async with chat.stream("threads.create", input=message("hello")) as stream:
        thread, events = await begin(stream, chat)
        outage.on = True
        upstream.state.release()
        events += [event async for event in stream]
    return thread, events


async def test_the_stream_ends_with_an_error_and_what_was_seen_is_stored_when_the_database_is_back(
    slow, upstream, monkeypatch
):
    outage = Outage(slow.server.store, monkeypatch)
    thread, events = await answer_during_outage(slow, upstream, outage)
    assert events[-1]["type"] == "error"
    assert events[-1]["allow_retry"]
    assert "database" in events[-1]["message"]
    assert len(slow.server.turns) == 1  # it waits, and nobody watches
    outage.on = False
    await until_idle(slow)
    shown = "".join(event["update"]["delta"] for event in events if is_delta(event))
    [answer] = await slow.answers(thread)
    assert answer.startswith(shown.strip())
    assert not errors_of(await slow.say(thread, "echo: again"))


async def test_a_database_that_stays_away_costs_no_more_than_the_lease(
    slow, upstream, store_url, monkeypatch
):
    outage = Outage(slow.server.store, monkeypatch)
    thread, _ = await answer_during_outage(slow, upstream, outage)
    assert len(slow.server.turns) == 1
    advance(21)
    await until_idle(slow)
    await expire_leases(store_url)  # the database's clock was not moved
    outage.on = False
    assert (await slow.answers(thread))[0].split() == [f"w{number}" for number in range(HELD)]
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


async def test_a_checkpoint_that_failed_is_made_up_for(slow, upstream, monkeypatch):
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
        await begin(stream, slow)
        assert len(failures) == 3
        upstream.state.release()
        assert [event async for event in stream][-1]["type"] == "thread.item.done"
