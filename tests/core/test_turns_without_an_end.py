"""Turns that do not end as usual: nothing stays locked, and what they used is counted."""

import asyncio

import pytest
from sqlalchemy import select

from chatrack.chat.turns import manager
from chatrack.errors import Unavailable
from chatrack.sql.tables import usage
from tests.support.serving import answer_of, errors_of, is_delta, message, serving
from tests.support.waiting import until


async def usage_of(chat, thread):
    async with chat.server.store.database.read() as connection:
        found = await connection.execute(select(usage).where(usage.c.thread_id == thread))
        return {row.agent: row for row in found}


@pytest.fixture
def lose_acknowledgement(monkeypatch):
    """Let the next calls of `begin_turn` be committed and fail all the same, as when the connection breaks."""

    def patch(store, count=1):
        begin_turn = store.begin_turn
        begun = []

        async def begin(thread_id, context, **options):
            lease = await begin_turn(thread_id, context, **options)
            if len(begun) < count:
                begun.append(thread_id)
                raise Unavailable("The database cannot be reached right now.", retry_after=5)
            return lease

        monkeypatch.setattr(store, "begin_turn", begin)
        return begun

    return patch


async def test_a_message_whose_acknowledgement_was_lost_neither_holds_nor_stays_in_its_thread(
    configure, lose_acknowledgement
):
    async with serving(configure(chat="lease = 30.0")) as chat:
        thread, _ = await chat.create("echo: one")
        before = await chat.items(thread)
        lose_acknowledgement(chat.server.store)
        params = {"thread_id": thread, "input": message("echo: two")}
        assert (await chat.call("threads.add_user_message", **params)).status_code == 503

        async def withdrawn():
            return await chat.items(thread) == before

        await until(withdrawn)
        events = await chat.say(thread, "echo: two")  # long before the lease would have expired
        assert answer_of(events) == "two"
        assert not errors_of(events)
        assert len(await chat.items(thread)) == len(before) + 2


async def test_a_thread_whose_acknowledgement_was_lost_is_gone(configure, lose_acknowledgement):
    async with serving(configure()) as chat:
        created = lose_acknowledgement(chat.server.store)
        assert (await chat.call("threads.create", input=message("echo: one"))).status_code == 503
        assert created

        async def gone():
            return not (await chat.get("threads.list"))["data"]

        await until(gone)


async def test_a_turn_that_others_pushed_out_of_the_queue_takes_none_of_them_along(
    configure, lose_acknowledgement, monkeypatch
):
    monkeypatch.setattr(manager, "MAX_UNCONFIRMED", 2)
    async with serving(configure()) as chat:
        store = chat.server.store
        lose_acknowledgement(store, 3)
        withdraw_turn, withdrawing, go_on = store.withdraw_turn, [], asyncio.Event()

        async def withdraw(thread_id, context, **options):
            withdrawing.append(thread_id)
            await go_on.wait()
            return await withdraw_turn(thread_id, context, **options)

        monkeypatch.setattr(store, "withdraw_turn", withdraw)
        await chat.call("threads.create", input=message("echo: one"))
        await until(lambda: withdrawing)
        for text in ("echo: two", "echo: three"):
            await chat.call("threads.create", input=message(text))
        go_on.set()

        async def gone():
            return not (await chat.get("threads.list"))["data"]

        await until(gone)


async def test_what_a_turn_used_is_counted_although_its_thread_was_deleted_meanwhile(configure):
    async with serving(configure(model="fake-h1", chat='on_disconnect = "continue"')) as chat:
        async with chat.stream("threads.create", input=message("hello")) as events:
            event = await anext(events)
            thread = event["thread"]["id"]
            while not is_delta(event):
                event = await anext(events)
            await chat.get("threads.delete", thread_id=thread)
            assert errors_of([event async for event in events])

        async def counted():
            return await usage_of(chat, thread)

        await until(counted)
        assert (await usage_of(chat, thread))["helper"].requests == 1


async def test_what_a_title_used_is_counted(configure):
    async with serving(configure(chat='titles = "model"')) as chat:
        thread, events = await chat.create("echo: hello")
        assert not errors_of(events)

        async def counted():
            return "chatrack.title" in await usage_of(chat, thread)

        await until(counted)
        rows = await usage_of(chat, thread)
        assert rows["chatrack.title"].requests == rows["helper"].requests == 1
        assert rows["chatrack.title"].model == "openai/fake"
        assert rows["chatrack.title"].output_tokens > 0
