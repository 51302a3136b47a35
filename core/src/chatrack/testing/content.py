"""Contract tests of content: texts, times, ids and positions are stored unchanged."""

import asyncio
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import msgspec
import pytest
from chatkit.store import StoreItemType
from chatkit.types import LockedStatus, ThreadMetadata

from chatrack.clock import to_micros
from chatrack.errors import BadRequest, NotFound
from chatrack.ids import PREFIXES
from chatrack.interfaces.records import ItemRecord, item_to_record, record_to_thread
from chatrack.interfaces.store import Store
from chatrack.testing.factories import MOMENT, Chat, assert_raises, context_of, file, message

TEXTS = {
    "emoji": "😀👨‍👩‍👧 🇩🇪",
    "line separators": "a\u2028b\u2029c\x85d\r\ne\tf",
    "astral": "𝕬𐍈𠀀\U0010ffff",
    "combining": "e\u0301 \u0301 Z\u0310\u0311\u0312 \u200b\u202eabc",
    "quotes": "\\ ' \" ` % _ $1 :x {} ?",
    "controls": "\x01\x08\x1f\x7f\ufffe\uffff",
    "an escaped NUL": "\\u0000 and \\\\u0000",
    "spaces": "  trailing  ",
    "nothing": "",
}
"""Texts that encodings, collations and escapes are known to damage."""


class ContentContract:
    """Items, threads and attachments are stored unchanged."""

    @pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
    async def test_text_comes_back_as_it_went_in(self, store: Store, text: str) -> None:
        chat = Chat(store)
        chat.thread = msgspec.structs.replace(chat.thread, title=text)
        await chat.save()
        item = message(chat.id, text)
        await store.add_thread_item(chat.id, item, chat.context)
        assert await store.load_item(chat.id, item.id, chat.context) == item
        assert (await store.load_thread_items(chat.id, None, 5, "asc", chat.context)).data == [item]
        assert await store.load_record(chat.id, chat.context) == chat.thread
        await store.set_title(chat.id, f"{text}!", chat.context)
        assert not await store.replace_title(chat.id, text, "x", chat.context)
        assert await store.replace_title(chat.id, f"{text}!", text, chat.context)
        assert (await store.load_record(chat.id, chat.context)).title == text

    async def test_items_of_a_megabyte_come_back_as_they_went_in(self, store: Store) -> None:
        chat = await Chat(store).save()
        for text in ("x" * 1_000_000, "\u2028😀ü" * 120_000):
            item = message(chat.id, text)
            await store.add_thread_item(chat.id, item, chat.context)
            assert await store.load_item(chat.id, item.id, chat.context) == item

    async def test_a_nul_in_an_item_is_refused_before_anything_is_kept(self, store: Store) -> None:
        chat = await Chat(store).save()
        for text in ("\0", "a\0b", "\\\0", "\\u0000\0"):
            with pytest.raises(BadRequest):
                await store.add_thread_item(chat.id, message(chat.id, text), chat.context)
            with pytest.raises(BadRequest):
                await store.save_item(chat.id, message(chat.id, text), chat.context)
        assert await chat.visible_items() == []

    async def test_an_id_with_a_nul_in_it_is_not_found(self, store: Store) -> None:
        chat = await Chat(store).save()
        me, item = chat.context, chat.item()
        await store.put_item(item, me)
        thread, bad = f"{chat.id}\0", f"{item.id}\0"
        await assert_raises(
            NotFound,
            store.load_record(thread, me),
            store.page_items(thread, after=None, limit=5, order="asc", context=me),
            store.page_items(chat.id, after=bad, limit=5, order="asc", context=me),
            store.thread_with_items(thread, limit=5, context=me),
            store.page_threads(after=thread, limit=5, order="asc", context=me),
            store.load_item_record(thread, item.id, me),
            store.load_item_record(chat.id, bad, me),
            store.load_history(thread, me),
            store.load_pauses(thread, me),
            store.load_attachment("atc_\0", me),
            store.save_feedback(thread, [item.id], "positive", me),
            store.save_feedback(chat.id, [bad], "positive", me),
            store.set_title(thread, "x", me),
            store.delete_thread(thread, me),
            store.delete_attachment("\0", me),
            store.begin_turn(thread, me, turn_id="trn_1", seconds=5),
        )
        assert await chat.texts() == ["hi"]

    async def test_every_field_of_an_item_is_kept(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open()
        full = ItemRecord(
            id="msg_1",
            thread_id=chat.id,
            type="client_tool_call",
            data=chat.item("data").data,
            turn_id=lease.turn_id,
            provider_metadata='{"id":"resp_😀"}',
            format=7,
        )
        await store.write(lease, [full, chat.hidden_item()])
        first, second = await store.load_history(chat.id, chat.context)
        assert msgspec.structs.replace(first, seq=0) == full
        assert first == await store.load_item_record(chat.id, "msg_1", chat.context)
        assert await chat.visible_items() == [first]
        assert 0 < first.seq < second.seq
        assert second.hidden

    async def test_every_field_of_a_thread_is_kept(self, store: Store) -> None:
        chat = Chat(store)
        full = msgspec.structs.replace(
            chat.thread,
            created_at=-1,  # a microsecond before 1970
            title=None,
            status='{"type":"locked","reason":"ü"}',
            metadata='{"k":["ü",1.5,null]}',
            allowed_image_domains='["example.com"]',
        )
        await store.put_thread(full, chat.context)
        assert await store.load_record(chat.id, chat.context) == full
        lease = await store.begin_turn(
            (second := msgspec.structs.replace(full, id=Chat(store).id)).id,
            chat.context,
            turn_id="trn_1",
            seconds=60,
            create=second,
        )
        assert await store.load_record(lease.thread_id, chat.context) == second

    async def test_every_field_of_an_attachment_is_kept(self, store: Store) -> None:
        chat = await Chat(store).save()
        mine = file(chat.id)
        await store.save_attachment(mine, chat.context)
        assert await store.load_attachment(mine.id, chat.context) == mine
        changed = mine.model_copy(update={"name": "😀.txt", "metadata": {"k": [1]}})
        await store.save_attachment(changed, chat.context)
        assert await store.load_attachment(mine.id, chat.context) == changed
        await store.delete_attachment(mine.id, chat.context)
        with pytest.raises(NotFound):
            await store.load_attachment(mine.id, chat.context)
        with pytest.raises(NotFound):
            await store.delete_attachment(mine.id, chat.context)

    # -- ids, times and upserts -----------------------------------------------------------------------

    async def test_times_are_kept_to_the_microsecond_and_come_back_in_utc(self, store: Store) -> None:
        me = context_of()
        local = datetime(2026, 5, 4, 3, 2, 1, 987654)  # noqa: DTZ001  (naive, as chatkit's helpers write it)
        east = datetime(2026, 5, 4, 3, 2, 1, 1, timezone(timedelta(hours=5, minutes=45)))
        for moment in (local, east, MOMENT):
            thread = record_to_thread(Chat(store).thread).model_copy(update={"created_at": moment})
            await store.save_thread(thread, me)
            item = message(thread.id, created_at=moment)
            await store.add_thread_item(thread.id, item, me)
            for loaded in (
                await store.load_item(thread.id, item.id, me),
                await store.load_thread(thread.id, me),
            ):
                assert loaded.created_at == moment.astimezone(UTC)
                assert loaded.created_at.utcoffset() == timedelta(0)
            assert (await store.load_record(thread.id, me)).created_at == to_micros(moment)

    async def test_ids_are_unique_and_not_to_be_guessed(self, store: Store) -> None:
        chat = await Chat(store).save()
        thread = await store.load_thread(chat.id, chat.context)
        made = {"thread": [store.generate_thread_id(chat.context) for _ in range(500)]}
        for kind in set(get_args(StoreItemType)) - {"thread"}:
            made[kind] = [store.generate_item_id(kind, thread, chat.context) for _ in range(500)]
        for kind, ids in made.items():
            tails = {made_id.removeprefix(f"{PREFIXES[kind]}_") for made_id in ids}
            assert not tails & set(ids), f"ids of {kind} do not begin with {PREFIXES[kind]}_"
            assert len(tails) == len(ids)
            letters = set("".join(tails))
            assert min(map(len, tails)) * math.log2(len(letters)) >= 122

    async def test_ids_that_the_store_makes_are_ids_that_it_keeps(self, store: Store) -> None:
        me = context_of()
        thread = ThreadMetadata(id=store.generate_thread_id(me), created_at=MOMENT)
        await store.save_thread(thread, me)
        assert await store.load_thread(thread.id, me) == thread
        item = message(thread.id, item_id=store.generate_item_id("message", thread, me))
        await store.add_thread_item(thread.id, item, me)
        assert await store.load_item(thread.id, item.id, me) == item

    async def test_an_item_that_is_added_again_is_replaced_in_its_place(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(first := chat.item("one"), chat.item("two"))
        seq = (await store.load_item_record(chat.id, first.id, chat.context)).seq

        def again(text: str) -> ItemRecord:
            return chat.item(text, item_id=first.id)

        await store.write(lease, [again("by write"), chat.item("three")])
        assert await chat.texts() == ["by write", "two", "three"]
        await store.checkpoint([(lease, [again("by checkpoint")], False)])
        assert await chat.texts() == ["by checkpoint", "two", "three"]
        await store.put_item(again("by put_item"), chat.context)
        assert await chat.texts() == ["by put_item", "two", "three"]
        added = message(chat.id, "by add_thread_item", item_id=first.id)
        await store.add_thread_item(chat.id, added, chat.context)
        await store.save_item(chat.id, added, chat.context)
        assert await chat.texts() == ["by add_thread_item", "two", "three"]
        await store.write(lease, [again("twice"), again("in one write"), chat.item("four")])
        await store.end_turn(lease, [again("by end_turn")])
        await chat.begin(again("by begin_turn"))
        assert await chat.texts() == ["by begin_turn", "two", "three", "four"]
        assert (await store.load_item_record(chat.id, first.id, chat.context)).seq == seq

    async def test_an_item_may_become_one_of_another_type(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(chat.item("one"), second := chat.item("two"), chat.item("three"))
        hidden = msgspec.structs.replace(chat.hidden_item(), id=second.id)
        await store.write(lease, [hidden])
        assert await chat.texts() == ["one", "three"]
        assert await chat.history_texts() == ["one", hidden.type, "three"]
        await store.write(lease, [second])
        assert await chat.texts() == ["one", "two", "three"]

    async def test_writers_of_one_item_at_once_make_one_item(self, store: Store) -> None:
        chat = await Chat(store).save()
        item = chat.item()
        await asyncio.gather(
            *(store.put_item(chat.item(str(number), item_id=item.id), chat.context) for number in range(12))
        )
        assert [record.id for record in await chat.visible_items()] == [item.id]

    async def test_a_status_that_chatkit_knows_comes_back(self, store: Store) -> None:
        me = context_of()
        thread = ThreadMetadata(
            id=store.generate_thread_id(me), created_at=MOMENT, status=LockedStatus(reason="ü")
        )
        await store.save_thread(thread, me)
        assert await store.load_thread(thread.id, me) == thread

    async def test_an_item_of_a_time_before_1970_is_like_any_other(self, store: Store) -> None:
        chat = await Chat(store).save()
        item = message(chat.id, created_at=datetime(1901, 1, 1, tzinfo=UTC))
        await store.put_item(item_to_record(item), chat.context)
        assert await store.load_item(chat.id, item.id, chat.context) == item
