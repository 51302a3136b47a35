"""A turn whose store or model fails: its thread is released, the reader gets an error, and other turns go on."""

import asyncio

from tests.support.serving import answer_of, errors_of, is_delta, message, serving
from tests.support.waiting import until_idle


async def test_a_store_that_fails_at_the_end_is_an_error_event_and_leaves_the_thread_free(chat, monkeypatch):
    end = chat.server.store.end_turn
    calls = []

    async def fail_once(*args, **options):
        calls.append(args)
        if len(calls) == 1:
            raise RuntimeError("disk on fire")
        await end(*args, **options)

    monkeypatch.setattr(chat.server.store, "end_turn", fail_once)
    thread, events = await chat.create("echo: hello")
    assert events[-1]["type"] == "error"
    assert "fire" not in str(events)
    assert not errors_of(await chat.say(thread, "echo: again"))


async def test_a_handler_that_fails_to_prepare_gives_the_thread_back(chat, monkeypatch):
    from chatrack.chat.agents.handler import AgentHandler

    thread, _ = await chat.create("echo: hello")

    async def broken(*_args):
        raise ValueError("no")

    with monkeypatch.context() as patched:
        patched.setattr(AgentHandler, "prepare", broken)
        refused = await chat.call("threads.add_user_message", thread_id=thread, input=message("x"))
    assert refused.status_code == 500
    assert not errors_of(await chat.say(thread, "echo: again"))


async def test_an_unfinished_item_that_cannot_be_saved_holds_up_nobody_else(configure, monkeypatch):
    from chatrack.chat.turns.writer import TurnWriter

    async with serving(configure(model="fake-n60-d20", chat="checkpoint = 0.05")) as chat:
        bad = None
        take_dirty = TurnWriter.take_dirty

        def fragile(self):
            if self.lease.thread_id == bad:
                raise UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")
            return take_dirty(self)

        monkeypatch.setattr(TurnWriter, "take_dirty", fragile)
        async with chat.stream("threads.create", input=message("one")) as stream:
            bad = (await anext(stream))["thread"]["id"]
            thread, events = await chat.create("two")
            assert not errors_of(events)
            assert len(answer_of(events).split()) == 60
            rest = [event async for event in stream]
        assert not errors_of(rest)
        assert len((await chat.answers(bad))[0].split()) == 60
        assert thread != bad


async def test_a_write_that_was_begun_is_finished_whoever_is_cancelled(chat):
    from chatrack.chat.turns.channel import EventChannel
    from chatrack.chat.turns.writer import TurnWriter
    from chatrack.ids import new_id
    from chatrack.interfaces import Lease, User

    written = []
    begun, gate = asyncio.Event(), asyncio.Event()

    class Slow:
        async def write(self, lease, records, *, remove, pauses, uncommitted):
            begun.set()
            await gate.wait()
            written.extend(record.id for record in records)

    from chatkit.types import AssistantMessageContent, AssistantMessageItem, ThreadItemDoneEvent

    from chatrack.clock import now

    lease = Lease(thread_id="thr", turn_id="trn", fence=1, user=User(id="u"))
    writer = TurnWriter(Slow(), lease, EventChannel(1000))

    def done(text):
        item = AssistantMessageItem(
            id=new_id("message"),
            thread_id="thr",
            created_at=now(),
            content=[AssistantMessageContent(text=text)],
        )
        return asyncio.create_task(writer.emit(ThreadItemDoneEvent(item=item)))

    tasks = [done("a"), done("b")]
    await begun.wait()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    gate.set()
    await writer.close()
    assert len(written) == 1


async def test_a_slow_title_keeps_no_thread_busy_and_fails_no_turn(configure, upstream):
    async with serving(configure(chat='titles = "model"')) as chat:
        models = chat.server.assembly.models
        failing = models.create("openai/fake-e500", key="test")
        models.create = lambda *_args, **_options: failing  # the title's model alone
        thread, events = await chat.create("echo: hello")
        assert not errors_of(events)
        assert answer_of(events) == "hello"
        assert not errors_of(await chat.say(thread, "echo: next"))
        assert (await chat.get("threads.get_by_id", thread_id=thread))["title"] == "echo: hello"


async def test_a_retry_that_is_stopped_undoes_nothing_of_what_was_there(configure):
    async with serving(configure(chat="checkpoint = 0.05")) as chat:
        thread, _ = await chat.create("tell me")
        await chat.say(thread, "echo: two")
        before = await chat.items(thread)
        chat.server.assembly.default_agent.agent.model.model = "fake-h1"
        params = {"thread_id": thread, "item_id": before[0]["id"]}
        async with chat.stream("threads.retry_after_item", **params) as events:
            async for event in events:
                if is_delta(event):
                    break
        await until_idle(chat)
        assert await chat.items(thread) == before
