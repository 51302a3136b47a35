"""A PostgreSQL server that goes away under running turns, and comes back."""

import asyncio
import contextlib
import time

import pytest

from tests.support.client import deltas_of, say_when_free
from tests.support.cluster import FAST, IMMEDIATE, new_cluster
from tests.support.serving import answer_of, errors_of, is_delta, message, text_of

LEASE = 10
CHAT = f"lease = {LEASE}\nbusy_wait = 0.3"
MODEL = {"model": "fake-d30", "tools": "[]"}

SHORT, LONG = 60, 200
"""So many words take about two seconds, and six."""

SOON = 10.0
"""A generous few seconds."""


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
        length: so many words the answer has.
        stays: whether its reader stays until the end.
    """

    def __init__(self, chat, number, length, *, stays=True):
        self.chat = chat
        self.number = number
        self.answer = " ".join(f"{number}.{word}" for word in range(length))
        self.stays = stays
        self.thread = ""
        self.before = []
        self.events = []
        self.leave = asyncio.Event()

    @property
    def acknowledged(self):
        """The items that the client was told are done."""
        events = [*self.before, *self.events]
        return [event["item"] for event in events if event["type"] == "thread.item.done"]

    async def begin(self):
        self.thread, self.before = await self.chat.create(f"echo: {self.number}")

    async def watch(self):
        params = {"thread_id": self.thread, "input": message(f"echo: {self.answer}")}
        async with self.chat.stream("threads.add_user_message", **params) as stream:
            async for event in stream:  # raises if the body is cut off
                self.events.append(event)
                if self.leave.is_set():
                    return


async def until_ready(chats, status, seconds=SOON):
    """Wait until all say so."""
    deadline = time.monotonic() + seconds
    for chat in chats:
        while (await chat.http.get("/ready")).status_code != status:
            assert time.monotonic() < deadline, f"/ready does not become {status}"
            await asyncio.sleep(0.05)


async def until_idle(chats, seconds=SOON):
    """Wait until no turn runs."""
    deadline = time.monotonic() + seconds
    for chat in chats:
        while turns := (await chat.http.get("/ready")).json()["turns"]:
            assert time.monotonic() < deadline, f"{turns} turns do not end"
            await asyncio.sleep(0.05)


async def until_all(talks, condition):
    async with asyncio.timeout(60):
        while not all(map(condition, talks)):
            await asyncio.sleep(0.02)


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
    started, configure, cluster, how, count
):
    config = configure(chat=CHAT, **MODEL)
    servers = await asyncio.gather(*(started.serve(config) for _ in range(count)))
    async with contextlib.AsyncExitStack() as stack:
        chats = [await stack.enter_async_context(server.chat()) for server in servers]
        ends, lasts, leaves = (
            [Talk(chats[number % count], number, length, stays=stays) for number in numbers]
            for numbers, length, stays in (
                (range(10), SHORT, True),
                (range(10, 16), LONG, True),
                (range(16, 20), LONG, False),
            )
        )
        talks = [*ends, *lasts, *leaves]
        await asyncio.gather(*(talk.begin() for talk in talks))
        idle, _ = await chats[0].create("echo: idle")
        watching = {talk: asyncio.create_task(talk.watch()) for talk in talks}
        await until_all(talks, lambda talk: sum(map(is_delta, talk.events)) > 5)

        await cluster.stop(how)
        assert not any(errors_of(talk.events) for talk in talks)
        await until_ready(chats, 503)
        for talk in leaves:
            talk.leave.set()
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
        # The answers that are complete meanwhile end with an error at once, and the others go on.
        await asyncio.wait([watching[talk] for talk in (*ends, *leaves)], timeout=SOON)
        for talk in ends:
            await watching[talk]
            [error] = errors_of(talk.events)
            assert talk.events[-1] == error
            assert error["allow_retry"] is True
            assert deltas_of(talk.events).split() == talk.answer.split()
        for talk in leaves:
            await watching[talk]
        assert not any(watching[talk].done() for talk in lasts)

        await cluster.start()
        await until_ready(chats, 200)
        for talk in lasts:
            await watching[talk]
            assert not errors_of(talk.events)
            assert answer_of(talk.events).split() == talk.answer.split()

        await until_idle(chats)
        for talk in talks:
            for chat in chats:
                items = await chat.items(talk.thread)
                assert [item["type"] for item in items] == ["user_message", "assistant_message"] * 2
                assert all(item in items for item in talk.acknowledged)
                # What the user saw is there, whether or not the turn could say so.
                assert text_of(items[-1]).startswith(deltas_of(talk.events))
                assert len({item["id"] for item in items}) == 4
        refusals = await asyncio.gather(
            *(say_when_free(talk.chat, talk.thread, "echo: again", seconds=LEASE + 5) for talk in talks)
        )
        assert all(answer_of(events) == "again" for _, events in refusals)
        assert await connections(cluster) <= 6 * count
    for server in servers:
        assert server.running
        assert await server.stop() == 0
        server.assert_clean("database unavailable", "turn refused", "status=503")


async def test_a_database_that_answers_nothing_for_a_while_costs_no_turn(started, configure, cluster):
    server = await started.serve(configure(chat=CHAT, **MODEL))
    async with server.chat() as chat:
        talks = [Talk(chat, number, SHORT) for number in range(5)]
        await asyncio.gather(*(talk.begin() for talk in talks))
        watching = [asyncio.create_task(talk.watch()) for talk in talks]
        await until_all(talks, lambda talk: sum(map(is_delta, talk.events)) > 5)

        cluster.freeze()
        frozen = time.monotonic()
        await until_ready([chat], 503)
        assert time.monotonic() - frozen < SOON
        assert (await chat.http.get("/health")).status_code == 200
        reading = asyncio.create_task(chat.call("items.list", thread_id=talks[0].thread))
        await until_all(talks, lambda talk: len(deltas_of(talk.events).split()) == SHORT)
        cluster.thaw()
        await until_ready([chat], 200)
        await asyncio.wait_for(asyncio.gather(*watching), SOON)
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
    """Count those that Chatrack has, none of which keeps a transaction open."""
    rows = await cluster.fetch("SELECT state FROM pg_stat_activity WHERE application_name = 'chatrack'")
    assert "idle in transaction" not in {row["state"] for row in rows}
    return len(rows)


async def test_a_database_that_stays_away_for_longer_than_the_lease_leaves_no_thread_stuck(
    started, configure, cluster
):
    server = await started.serve(configure(chat="lease = 2\nbusy_wait = 0.3\ncheckpoint = 0.2", **MODEL))
    async with server.chat() as chat:
        talks = [Talk(chat, number, SHORT) for number in range(5)]
        await asyncio.gather(*(talk.begin() for talk in talks))
        watching = [asyncio.create_task(talk.watch()) for talk in talks]
        await until_all(talks, lambda talk: sum(map(is_delta, talk.events)) > 20)
        await cluster.stop(IMMEDIATE)
        await asyncio.wait_for(asyncio.gather(*watching), SOON)
        await until_idle([chat])
        await cluster.start()
        await until_ready([chat], 200)
        for talk in talks:
            items = await chat.items(talk.thread)
            assert all(item in items for item in talk.acknowledged)
            assert deltas_of(talk.events).startswith(text_of(items[-1]))
            assert answer_of(await chat.say(talk.thread, "echo: again")) == "again"
    assert await server.stop() == 0
    server.assert_clean("database unavailable", "turn refused", "status=503", "turn result not saved")


async def test_a_server_stops_in_good_time_while_its_database_is_away(started, configure, cluster):
    config = configure(chat="lease = 2\nbusy_wait = 0.3", server="shutdown_grace = 0.5", **MODEL)
    server = await started.serve(config)
    async with server.chat() as chat:
        talks = [Talk(chat, number, length) for number, length in enumerate([SHORT] * 5 + [LONG] * 5)]
        await asyncio.gather(*(talk.begin() for talk in talks))
        watching = [asyncio.create_task(talk.watch()) for talk in talks]
        await until_all(talks, lambda talk: sum(map(is_delta, talk.events)) > 5)
        await cluster.stop()
        assert await server.stop(seconds=SOON) == 0
        await asyncio.gather(*watching)
        for talk in talks:
            [error] = errors_of(talk.events)
            assert talk.events[-1] == error
    server.assert_clean("database unavailable", "turn refused", "status=503", "turn result not saved")


async def test_a_server_whose_database_is_frozen_stops_and_ends_its_streams_with_an_error(
    started, configure, cluster
):
    server = await started.serve(configure(server="shutdown_grace = 0.5", **MODEL))
    async with server.chat() as chat:
        talks = [Talk(chat, number, LONG) for number in range(5)]
        await asyncio.gather(*(talk.begin() for talk in talks))
        watching = [asyncio.create_task(talk.watch()) for talk in talks]
        await until_all(talks, lambda talk: sum(map(is_delta, talk.events)) > 5)
        cluster.freeze()
        assert await server.stop(seconds=60) == 0
        await asyncio.gather(*watching)
        for talk in talks:
            [error] = errors_of(talk.events)
            assert talk.events[-1] == error
            assert error["allow_retry"]
    assert server.log().count("turn results not saved") == 1
    assert server.log().count("database unavailable") <= 1
    server.assert_clean("turn results not saved", "database unavailable", "connections not closed")
