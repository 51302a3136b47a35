"""A PostgreSQL server that stops during turns, and starts again."""

import asyncio
import contextlib

import pytest

from tests.support.client import deltas_of, say_when_free
from tests.support.cluster import FAST, IMMEDIATE, new_cluster
from tests.support.serving import answer_of, errors_of, is_delta, message, text_of
from tests.support.waiting import until, until_idle

CHAT = "lease = 30\nbusy_wait = 0.3"

WORDS = 60
"""The length of an answer."""

SHOWN = 10
"""Words of it that come before the model holds it back."""

MODEL = {"model": f"fake-h{SHOWN}", "tools": "[]"}


@pytest.fixture
def kind():
    return "postgresql"


@pytest.fixture
async def cluster():
    with new_cluster() as cluster:
        await cluster.start()
        yield cluster


@pytest.fixture
def store_url(cluster):
    return cluster.url


class Talk:
    """A thread with one answer that is complete, and one that is under way.

    Args:
        chat: the server that answers.
        number: tells it from the others.
    """

    def __init__(self, chat, number):
        self.chat = chat
        self.number = number
        self.answer = " ".join(f"{number}.{word}" for word in range(WORDS))
        self.thread = ""
        self.before = []
        self.events = []

    @property
    def acknowledged(self):
        """The items whose `thread.item.done` was received."""
        events = [*self.before, *self.events]
        return [event["item"] for event in events if event["type"] == "thread.item.done"]

    async def begin(self):
        self.thread, self.before = await self.chat.create(f"echo: {self.number}")

    async def watch(self):
        params = {"thread_id": self.thread, "input": message(f"echo: {self.answer}")}
        async with self.chat.stream("threads.add_user_message", **params) as stream:
            async for event in stream:  # raises if the body is cut off
                self.events.append(event)

    async def has_a_partial_answer(self):
        """Whether some of the answer that is under way is stored."""
        return len(await self.chat.items(self.thread)) == 4

    async def release(self, provider):
        """Let the model continue this answer."""
        await provider.release(f" {self.number}.1 ")


async def until_ready(chats, status):
    """Wait until the `/ready` of all servers has a status."""

    async def are_ready():
        return all([(await chat.http.get("/ready")).status_code == status for chat in chats])

    await until(are_ready, otherwise=lambda: f"/ready does not become {status}")


async def until_shown(talks, count):
    """Wait until some words of all answers have come."""
    await until(lambda: all(sum(map(is_delta, talk.events)) >= count for talk in talks))


def assert_unavailable(response):
    assert response.status_code == 503, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["request_id"]


@pytest.mark.parametrize(
    ("how", "count"),
    [
        pytest.param(FAST, 1, id="fast, one server"),
        pytest.param(FAST, 2, id="fast, two servers"),
        pytest.param(IMMEDIATE, 2, id="immediate, two servers"),
    ],
)
async def test_a_restart_of_the_database_under_running_turns_loses_nothing_that_was_acknowledged(
    started, configure, provider, cluster, how, count
):
    config = configure(chat=CHAT, **MODEL)
    servers = await asyncio.gather(*(started.serve(config) for _ in range(count)))
    async with contextlib.AsyncExitStack() as stack:
        chats = [await stack.enter_async_context(server.chat()) for server in servers]
        talks = [Talk(chats[number % count], number) for number in range(20)]
        ends, lasts, leaves = talks[:10], talks[10:16], talks[16:]
        await asyncio.gather(*(talk.begin() for talk in talks))
        idle, _ = await chats[0].create("echo: idle")
        watching = {talk: asyncio.create_task(talk.watch()) for talk in talks}
        await until_shown(talks, SHOWN)

        await cluster.stop(how)
        assert not any(errors_of(talk.events) for talk in talks)
        await until_ready(chats, 503)
        for talk in leaves:
            watching[talk].cancel()
        await asyncio.wait([watching[talk] for talk in leaves])
        for chat in chats:
            for refused in (
                await chat.call("threads.list", limit=20),
                await chat.call("items.list", thread_id=idle),
                await chat.call("threads.create", input=message("hello")),
                await chat.call("threads.add_user_message", thread_id=idle, input=message("hello")),
                await chat.call(
                    "threads.add_user_message", thread_id=lasts[0].thread, input=message("hello")
                ),
                await chat.call("threads.update", thread_id=idle, title="new"),
                await chat.call("threads.delete", thread_id=idle),
            ):
                assert_unavailable(refused)
            assert (await chat.http.get("/health")).status_code == 200
        # The answers that are complete meanwhile end with an error, and the others go on.
        for talk in ends:
            await talk.release(provider)
        for talk in ends:
            await watching[talk]
            [error] = errors_of(talk.events)
            assert talk.events[-1] == error
            assert error["allow_retry"] is True
            assert deltas_of(talk.events).split() == talk.answer.split()
        assert not any(watching[talk].done() for talk in lasts)

        await cluster.start()
        await until_ready(chats, 200)
        await provider.release()
        for talk in lasts:
            await watching[talk]
            assert not errors_of(talk.events)
            assert answer_of(talk.events).split() == talk.answer.split()

        for chat in chats:
            await until_idle(chat)
        for talk in talks:
            for chat in chats:
                items = await chat.items(talk.thread)
                assert [item["type"] for item in items] == ["user_message", "assistant_message"] * 2
                assert all(item in items for item in talk.acknowledged)
                # What the user saw is there, whether or not the turn could say so.
                assert text_of(items[-1]).startswith(deltas_of(talk.events))
                assert len({item["id"] for item in items}) == 4
        again = await asyncio.gather(
            *(say_when_free(talk.chat, talk.thread, "echo: again") for talk in talks)
        )
        assert all(answer_of(events) == "again" for _, events in again)
        assert await connections(cluster) <= 6 * count
    for server in servers:
        assert server.running
        assert await server.stop() == 0
        server.assert_clean("database unavailable", "turn refused", "status=503")


async def test_a_database_that_answers_nothing_for_a_while_costs_no_turn(
    started, configure, provider, cluster
):
    server = await started.serve(configure(chat=CHAT, **MODEL))
    async with server.chat() as chat:
        talks = [Talk(chat, number) for number in range(5)]
        await asyncio.gather(*(talk.begin() for talk in talks))
        watching = [asyncio.create_task(talk.watch()) for talk in talks]
        await until_shown(talks, SHOWN)

        cluster.freeze()
        await until_ready([chat], 503)
        assert (await chat.http.get("/health")).status_code == 200
        reading = asyncio.create_task(chat.call("items.list", thread_id=talks[0].thread))
        await provider.release()
        await until_shown(talks, WORDS)
        cluster.thaw()
        await until_ready([chat], 200)
        await asyncio.gather(*watching)
        if (response := await reading).status_code != 200:
            assert_unavailable(response)
        for talk in talks:
            assert not errors_of(talk.events)
            assert text_of((await chat.items(talk.thread))[-1]).split() == talk.answer.split()
            assert answer_of(await chat.say(talk.thread, "echo: again")) == "again"
        assert await connections(cluster) <= 6
    assert await server.stop() == 0
    server.assert_clean("database unavailable", "status=503")


async def connections(cluster):
    """Return the number of Chatrack's connections, none of which keeps a transaction open."""
    rows = await cluster.fetch("SELECT state FROM pg_stat_activity WHERE application_name = 'chatrack'")
    assert "idle in transaction" not in {row["state"] for row in rows}
    return len(rows)


async def test_a_database_that_stays_away_for_longer_than_the_lease_leaves_no_thread_stuck(
    started, configure, provider, cluster
):
    server = await started.serve(configure(chat="lease = 2\nbusy_wait = 0.3\ncheckpoint = 0.2", **MODEL))
    async with server.chat() as chat:
        talks = [Talk(chat, number) for number in range(5)]
        await asyncio.gather(*(talk.begin() for talk in talks))
        watching = [asyncio.create_task(talk.watch()) for talk in talks]
        await until_shown(talks, SHOWN)
        for talk in talks:
            await until(talk.has_a_partial_answer)
        await cluster.stop(IMMEDIATE)
        await provider.release()
        await asyncio.gather(*watching)
        await until_idle(chat)
        await cluster.start()
        await until_ready([chat], 200)
        for talk in talks:
            items = await chat.items(talk.thread)
            assert all(item in items for item in talk.acknowledged)
            partial = text_of(items[-1])
            assert partial
            assert deltas_of(talk.events).startswith(partial)
            assert answer_of(await chat.say(talk.thread, "echo: again")) == "again"
    assert await server.stop() == 0
    server.assert_clean("database unavailable", "turn refused", "status=503", "turn result not saved")


async def test_a_server_stops_while_its_database_is_away(started, configure, provider, cluster):
    config = configure(chat="lease = 2\nbusy_wait = 0.3", server="shutdown_grace = 0.5", **MODEL)
    server = await started.serve(config)
    async with server.chat() as chat:
        talks = [Talk(chat, number) for number in range(10)]
        await asyncio.gather(*(talk.begin() for talk in talks))
        watching = [asyncio.create_task(talk.watch()) for talk in talks]
        await until_shown(talks, SHOWN)
        await cluster.stop()
        for talk in talks[:5]:  # they are complete, and wait for the database
            await talk.release(provider)
        await until_shown(talks[:5], WORDS)
        assert await server.stop() == 0
        await asyncio.gather(*watching)
        for talk in talks:
            [error] = errors_of(talk.events)
            assert talk.events[-1] == error
    server.assert_clean("database unavailable", "turn refused", "status=503", "turn result not saved")


@pytest.mark.long
async def test_a_server_whose_database_is_frozen_stops_and_ends_its_streams_with_an_error(
    started, configure, cluster
):
    server = await started.serve(configure(server="shutdown_grace = 0.5", **MODEL))
    async with server.chat() as chat:
        talks = [Talk(chat, number) for number in range(5)]
        await asyncio.gather(*(talk.begin() for talk in talks))
        watching = [asyncio.create_task(talk.watch()) for talk in talks]
        await until_shown(talks, SHOWN)
        cluster.freeze()
        assert await server.stop() == 0
        await asyncio.gather(*watching)
        for talk in talks:
            [error] = errors_of(talk.events)
            assert talk.events[-1] == error
            assert error["allow_retry"]
    assert server.log().count("turn results not saved") == 1
    assert server.log().count("database unavailable") <= 1
    server.assert_clean("turn results not saved", "database unavailable", "connections not closed")
