"""Contract tests of turns: they begin and end atomically, and a retry does not lose the old answer."""

import asyncio
from typing import Any

import msgspec
import pytest

from chatrack.clock import to_micros
from chatrack.errors import NotFound, ThreadBusy
from chatrack.interfaces.records import UsageRecord
from chatrack.interfaces.store import Store
from chatrack.testing.factories import MOMENT, SHORT_LEASE, Chat, assert_raises, file


class TurnsContract:
    """`begin_turn`, `write`, `end_turn`."""

    async def test_a_turn_that_cannot_have_its_attachment_makes_no_thread(self, store: Store) -> None:
        chat, foreign = Chat(store), Chat(store)
        good, theirs = file(chat.id), file()
        await store.save_attachment(good.model_copy(update={"thread_id": None}), chat.context)
        await store.save_attachment(theirs, foreign.context)
        for bad in (file(chat.id), theirs.model_copy(update={"thread_id": chat.id})):
            with pytest.raises(NotFound):
                await chat.open(chat.item(), attachments=[good, bad])
            with pytest.raises(NotFound):
                await store.load_record(chat.id, chat.context)
            assert (await store.load_attachment(good.id, chat.context)).thread_id is None
        assert (await store.load_attachment(theirs.id, foreign.context)) == theirs
        await chat.open(chat.item("now"), attachments=[good])
        assert await store.load_attachment(good.id, chat.context) == good
        assert await chat.texts() == ["now"]

    async def test_a_turn_that_cannot_have_its_attachment_takes_no_thread(self, store: Store) -> None:
        chat = Chat(store)
        await store.end_turn(await chat.open(chat.item("old")))
        with pytest.raises(NotFound):
            await chat.begin(chat.item("new"), attachments=[file(chat.id)])
        assert await chat.texts() == ["old"]
        assert not (await chat.begin()).interrupted

    async def test_a_turn_that_is_refused_writes_nothing(self, store: Store) -> None:
        chat = Chat(store)
        mine = file()
        await store.save_attachment(mine, chat.context)
        lease = await chat.open(chat.item("one"))
        await store.write(lease, [chat.item("retried", lease)], uncommitted=True)
        with pytest.raises(ThreadBusy):
            await chat.begin(
                chat.item("two"),
                attachments=[mine.model_copy(update={"thread_id": chat.id})],
                after_interruption=[chat.item("marker")],
            )
        assert await store.load_attachment(mine.id, chat.context) == mine
        await store.end_turn(lease)
        assert await chat.texts() == ["one", "retried"]

    async def test_what_is_said_of_an_interruption_is_written_only_after_one(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(chat.item("one"), after_interruption=[chat.item("never")])
        await store.end_turn(lease)
        lease = await chat.begin(chat.item("two"), after_interruption=[chat.item("not now")])
        await chat.expire(lease)
        lease = await chat.take_over(chat.item("three"), after_interruption=[chat.item("marker")])
        assert lease.interrupted
        assert await chat.texts() == ["one", "two", "marker", "three"]
        await store.end_turn(lease)
        assert not (await chat.begin(after_interruption=[chat.item("nor now")])).interrupted
        assert await chat.texts() == ["one", "two", "marker", "three"]

    async def test_writing_and_removing_is_one_step(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(one := chat.item("one"), chat.item("two"))
        await store.write(lease, [chat.item("three")], remove=[one.id, "msg_unknown"])
        assert await chat.texts() == ["two", "three"]
        await store.write(lease)
        await store.end_turn(lease)
        assert await chat.texts() == ["two", "three"]

    # -- retries ----------------------------------------------------------------------------------

    async def test_what_a_retry_writes_is_invisible_until_it_replaces_the_old(self, store: Store) -> None:
        chat = Chat(store)
        old = chat.item("old")
        await store.end_turn(await chat.open(chat.item("question"), old))
        retry = await chat.begin()
        new = chat.item("new", retry)
        await store.write(retry, [new, chat.hidden_item(retry)], uncommitted=True)
        await store.checkpoint([(retry, [chat.item("half", retry)], True)])
        assert await chat.texts() == ["question", "old"]
        assert await chat.history_texts() == ["question", "old"]
        assert (await store.thread_with_items(chat.id, limit=9, context=chat.context))[1].data[
            -1
        ].id == old.id
        await assert_raises(
            NotFound,
            store.load_item_record(chat.id, new.id, chat.context),
            store.save_feedback(chat.id, [new.id], "positive", chat.context),
        )
        await store.end_turn(retry, [chat.item("closing", retry)], replace=[old.id, "msg_unknown"])
        assert await chat.texts() == ["question", "new", "half", "closing"]
        assert len(await chat.history_texts()) == 5
        with pytest.raises(NotFound):
            await store.load_item_record(chat.id, old.id, chat.context)

    async def test_what_a_retry_gives_up_is_dropped(self, store: Store) -> None:
        chat = Chat(store)
        await store.end_turn(await chat.open(chat.item("old")))
        retry = await chat.begin()
        await store.write(retry, [new := chat.item("new", retry), chat.hidden_item(retry)], uncommitted=True)
        await store.end_turn(retry, [chat.item("closing", retry)], drop=True)
        assert await chat.texts() == ["old", "closing"]
        assert await chat.history_texts() == ["old", "closing"]
        following = await chat.begin()
        await store.end_turn(following)
        with pytest.raises(NotFound):
            await store.load_item_record(chat.id, new.id, chat.context)

    async def test_a_retry_that_died_leaves_the_old_answer_as_it_was(self, store: Store) -> None:
        chat = Chat(store)
        await store.end_turn(await chat.open(chat.item("old")))
        dead = await chat.begin()
        await store.write(dead, [chat.item("half", dead), chat.hidden_item(dead)], uncommitted=True)
        await chat.expire(dead)
        alive = await chat.take_over(chat.item("next"), after_interruption=[chat.item("marker")])
        assert alive.interrupted
        assert await chat.history_texts() == ["old", "next"]
        await store.end_turn(alive)
        assert await chat.history_texts() == ["old", "next"]

    async def test_what_was_committed_stays_so_when_a_retry_writes_it_again(self, store: Store) -> None:
        chat = Chat(store)
        old = chat.item("old")
        await store.end_turn(await chat.open(old))
        retry = await chat.begin()
        again = chat.item("again", retry, item_id=old.id)
        await store.write(retry, [again, chat.item("new", retry)], uncommitted=True)
        assert await chat.texts() == ["again"]
        await store.end_turn(retry, drop=True)
        assert await chat.texts() == ["again"]

    async def test_a_retry_may_remove_what_it_has_not_committed(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(chat.item("old"))
        one, two = chat.item("one", lease), chat.item("two", lease)
        await store.write(lease, [one, two], uncommitted=True)
        changed = chat.item("changed", lease, item_id=two.id)
        await store.write(lease, [changed], remove=[one.id], uncommitted=True)
        assert await chat.texts() == ["old"]
        await store.end_turn(lease)
        assert await chat.texts() == ["old", "changed"]

    # -- feedback, usage -------------------------------------------------------------------------------

    async def test_feedback_is_taken_and_changed(self, store: Store) -> None:
        chat = Chat(store)
        await chat.open(one := chat.item("one"), two := chat.item("two"))
        await store.save_feedback(chat.id, [one.id, two.id], "positive", chat.context)
        await store.save_feedback(chat.id, [one.id, one.id], "negative", chat.context)
        await asyncio.gather(
            *(
                store.save_feedback(
                    chat.id, [two.id, one.id][:: 1 - 2 * (number % 2)], "positive", chat.context
                )
                for number in range(8)
            )
        )
        assert await chat.texts() == ["one", "two"]

    async def test_feedback_on_what_the_client_cannot_see_is_refused(self, store: Store) -> None:
        chat = Chat(store)
        await chat.open(one := chat.item("one"), hidden := chat.hidden_item())
        for bad in ("msg_unknown", hidden.id, ""):
            with pytest.raises(NotFound):
                await store.save_feedback(chat.id, [one.id, bad], "positive", chat.context)

    async def test_usage_is_taken_with_counts_and_without_and_again(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open()
        turn: dict[str, Any] = {
            "turn_id": lease.turn_id,
            "thread_id": chat.id,
            "created_at": to_micros(MOMENT),
        }
        counted = UsageRecord(
            **turn,
            agent="todo 😀",
            model="openai/x",
            requests=3,
            input_tokens=2**40,
            cached_tokens=0,
            output_tokens=1,
            reasoning_tokens=1,
        )
        unknown = UsageRecord(**turn, agent="other", model="openai/x")
        await store.end_turn(lease, [chat.item()], usage=[counted, unknown])
        again = await chat.begin(turn_id=lease.turn_id)
        await store.end_turn(again, usage=[unknown, counted, unknown])
        assert await chat.texts() == ["hi"]
        assert not (await chat.begin()).interrupted

    async def test_usage_is_saved_outside_of_a_turn_even_if_the_thread_is_gone(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(chat.item())
        used = UsageRecord(
            turn_id=lease.turn_id, agent="a", model="m", thread_id=chat.id, created_at=to_micros(MOMENT)
        )
        await store.save_usage([used, msgspec.structs.replace(used, agent="b", requests=1)], chat.context)
        await store.end_turn(lease, usage=[used])
        await store.delete_thread(chat.id, chat.context)
        await store.save_usage([used, msgspec.structs.replace(used, requests=2)], chat.context)
        await store.save_usage([], chat.context)

    async def test_a_turn_of_a_moment_is_one_too(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(chat.item("one"), seconds=SHORT_LEASE)
        await asyncio.sleep(SHORT_LEASE * 2)
        await store.end_turn(lease, [chat.item("two")])
        assert not (await chat.begin()).interrupted
        assert await chat.texts() == ["one", "two"]
