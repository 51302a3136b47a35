"""Contract tests of pauses: kept until resolved, or until their items are removed."""

import msgspec
import pytest

from chatrack.errors import LeaseLost
from chatrack.interfaces.lease import Lease
from chatrack.interfaces.records import ItemRecord, PauseRecord
from chatrack.interfaces.store import Store
from chatrack.testing.factories import Chat, assert_raises


async def create_paused_chat(store: Store) -> tuple[Chat, Lease, ItemRecord, PauseRecord]:
    """Create a thread with an item that causes a pause."""
    chat = Chat(store)
    lease = await chat.open(chat.item("before"))
    item = chat.item("waits", lease)
    pause = chat.pause(item)
    await store.write(lease, [item], pauses=[pause])
    return chat, lease, item, pause


class PausesContract:
    """`load_pauses`, and the effects of `write` on pauses."""

    async def test_a_pause_is_kept_until_it_is_resolved(self, store: Store) -> None:
        chat, lease, item, pause = await create_paused_chat(store)
        assert await chat.pauses() == [pause]
        await store.end_turn(lease)
        assert await chat.pauses() == [pause]
        following = await chat.begin(chat.item("after"))
        await store.write(following, resolve=["msg_unknown"])
        assert await chat.pauses() == [pause]
        await store.write(following, [chat.item("answered", item_id=item.id)], resolve=[item.id])
        assert await chat.pauses() == []
        assert await chat.texts() == ["before", "answered", "after"]

    async def test_a_thread_that_waits_for_nothing_has_no_pauses(self, store: Store) -> None:
        chat = await Chat(store).save()
        assert await chat.pauses() == []

    async def test_pauses_are_in_the_order_of_their_items(self, store: Store) -> None:
        chat = Chat(store)
        items = [chat.item(str(number)) for number in range(5)]
        lease = await chat.open(*items)
        pauses = [chat.pause(item, kind=f"kind {number}") for number, item in enumerate(items)]
        for number in (3, 0, 4):
            await store.write(lease, pauses=[pauses[number]])
        await store.write(lease, pauses=[pauses[2], pauses[1]])
        assert await chat.pauses() == pauses

    async def test_a_pause_that_is_noted_again_is_changed(self, store: Store) -> None:
        chat, lease, _item, pause = await create_paused_chat(store)
        changed = msgspec.structs.replace(pause, kind="approval", data='{"again":true}', turn_id="trn_2")
        await store.write(lease, pauses=[changed])
        assert await chat.pauses() == [changed]

    async def test_a_pause_outlives_a_change_of_its_item(self, store: Store) -> None:
        chat, lease, item, pause = await create_paused_chat(store)
        await store.write(lease, [chat.item("changed", item_id=item.id)])
        await store.checkpoint([(lease, [chat.item("again", item_id=item.id)], False)])
        await store.put_item(chat.item("once more", item_id=item.id), chat.context)
        assert await chat.pauses() == [pause]

    async def test_what_was_resolved_may_wait_again(self, store: Store) -> None:
        chat, lease, item, pause = await create_paused_chat(store)
        await store.write(lease, resolve=[item.id])
        await store.write(lease, pauses=[pause])
        assert await chat.pauses() == [pause]

    @pytest.mark.parametrize("way", ["write", "end_turn", "delete_thread_item"])
    async def test_a_pause_goes_with_its_item(self, store: Store, way: str) -> None:
        chat, lease, item, _pause = await create_paused_chat(store)
        if way == "write":
            await store.write(lease, remove=[item.id])
        elif way == "end_turn":
            await store.end_turn(lease, replace=[item.id])
        else:
            await store.delete_thread_item(chat.id, item.id, chat.context)
        assert await chat.pauses() == []
        await store.put_item(item, chat.context)
        assert await chat.pauses() == []

    async def test_pauses_of_a_retry_are_invisible_until_it_is_committed(self, store: Store) -> None:
        chat, lease, old, pause = await create_paused_chat(store)
        await store.end_turn(lease)
        retry = await chat.begin()
        new = chat.item("new", retry)
        await store.write(retry, [new], pauses=[chat.pause(new)], uncommitted=True)
        assert await chat.pauses() == [pause]
        await store.end_turn(retry, replace=[old.id])
        assert await chat.pauses() == [chat.pause(new)]

    async def test_pauses_of_a_retry_are_dropped_with_it(self, store: Store) -> None:
        chat, lease, _old, pause = await create_paused_chat(store)
        await store.end_turn(lease)
        retry = await chat.begin()
        new = chat.item("new", retry)
        await store.write(retry, [new], pauses=[chat.pause(new)], uncommitted=True)
        await store.end_turn(retry, drop=True)
        await store.put_item(new, chat.context)
        assert await chat.pauses() == [pause]

    async def test_a_write_that_is_refused_notes_no_pause(self, store: Store) -> None:
        chat, lease, item, pause = await create_paused_chat(store)
        await store.end_turn(lease)
        await chat.begin()
        await assert_raises(
            LeaseLost,
            store.write(lease, pauses=[chat.pause(item, kind="x")]),
            store.write(lease, resolve=[item.id]),
        )
        assert await chat.pauses() == [pause]
