"""Contract tests of `withdraw_turn`: undoing a turn of which the caller does not know whether it began."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from chatkit.types import FileAttachment, InferenceOptions, UserMessageItem

from chatrack.errors import LeaseLost, NotFound
from chatrack.ids import new_id
from chatrack.interfaces.lease import Lease
from chatrack.interfaces.records import ItemRecord, item_to_record
from chatrack.interfaces.store import Store
from chatrack.testing.factories import MOMENT, SHORT_LEASE, Chat, assert_raises, file
from chatrack.testing.leases import LOSSES, recreated


def claimed(attachment: FileAttachment, chat: Chat) -> FileAttachment:
    """Return the record of an attachment that a thread has."""
    return attachment.model_copy(update={"thread_id": chat.id})


def user_message(chat: Chat, *attachments: FileAttachment) -> ItemRecord:
    """Return a user's message with attachments."""
    return item_to_record(
        UserMessageItem(
            id=new_id("message"),
            thread_id=chat.id,
            created_at=MOMENT,
            content=[],
            attachments=[claimed(attachment, chat) for attachment in attachments],
            inference_options=InferenceOptions(),
        )
    )


async def withdraw(
    chat: Chat,
    lease: Lease,
    *items: ItemRecord,
    created: bool = False,
    attachments: tuple[FileAttachment, ...] = (),
) -> bool:
    """Withdraw a turn with its items and attachments."""
    return await chat.store.withdraw_turn(
        chat.id,
        chat.context,
        turn_id=lease.turn_id,
        created=created,
        items=[item.id for item in items],
        attachments=attachments,
    )


class WithdrawalContract:
    """`withdraw_turn`."""

    async def test_a_withdrawn_turn_leaves_the_thread_as_it_was(self, store: Store) -> None:
        chat = Chat(store)
        await store.end_turn(await chat.open(chat.item("old"), chat.hidden_item()))
        before = await store.load_history(chat.id, chat.context)
        items = [chat.item("question"), chat.hidden_item()]
        lease = await chat.begin(*items)
        assert await withdraw(chat, lease, *items) is True
        assert await store.load_history(chat.id, chat.context) == before
        assert await store.load_record(chat.id, chat.context) == chat.thread
        await assert_raises(LeaseLost, store.write(lease, [chat.item("late")]), store.end_turn(lease))
        again = await chat.begin(*items)
        assert again.fence > lease.fence
        assert not again.interrupted
        assert await chat.texts() == ["old", "question"]

    async def test_a_withdrawn_turn_that_created_its_thread_deletes_it(self, store: Store) -> None:
        chat, mine = Chat(store), file()
        other = Chat(store, chat.context)
        await store.save_attachment(mine, chat.context)
        item = chat.item("question")
        lease = await chat.open(item, attachments=[claimed(mine, chat)])
        assert await withdraw(chat, lease, item, created=True, attachments=(mine,)) is True
        assert await store.load_attachment(mine.id, chat.context) == mine
        await assert_raises(NotFound, store.load_record(chat.id, chat.context), chat.texts())
        await assert_raises(LeaseLost, store.end_turn(lease))
        await other.open(attachments=[claimed(mine, other)])
        await chat.open(chat.item("again"))
        assert await chat.texts() == ["again"]

    async def test_only_attachments_of_the_thread_that_are_named_are_handed_back(self, store: Store) -> None:
        chat = Chat(store)
        other = Chat(store, chat.context)
        taken, kept, elsewhere = file(), file(), file()
        for attachment in (taken, kept, elsewhere):
            await store.save_attachment(attachment, chat.context)
        await other.open(attachments=[claimed(elsewhere, other)])
        await store.end_turn(await chat.open(attachments=[claimed(kept, chat)]))
        lease = await chat.begin(attachments=[claimed(taken, chat)])
        assert await withdraw(chat, lease, attachments=(claimed(taken, chat), elsewhere, file()))
        assert await store.load_attachment(taken.id, chat.context) == taken
        assert await store.load_attachment(kept.id, chat.context) == claimed(kept, chat)
        assert await store.load_attachment(elsewhere.id, chat.context) == claimed(elsewhere, other)
        later = Chat(store, chat.context)
        await later.open(attachments=[claimed(taken, later)])

    async def test_an_attachment_that_an_older_message_has_stays_the_threads(self, store: Store) -> None:
        chat, old, new = Chat(store), file(), file()
        for attachment in (old, new):
            await store.save_attachment(attachment, chat.context)
        await store.end_turn(await chat.open(user_message(chat, old), attachments=[claimed(old, chat)]))
        both = [claimed(old, chat), claimed(new, chat)]
        lease = await chat.begin(question := user_message(chat, old, new), attachments=both)
        assert await withdraw(chat, lease, question, attachments=tuple(both))
        assert await store.load_attachment(old.id, chat.context) == claimed(old, chat)
        assert await store.load_attachment(new.id, chat.context) == new

    async def test_only_the_named_items_are_removed(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(one := chat.item("one"), two := chat.item("two"))
        await store.write(lease, pauses=[chat.pause(one), chat.pause(two)])
        assert await withdraw(chat, lease, one, chat.item("unknown"))
        assert await chat.texts() == ["two"]
        assert await chat.pauses() == [chat.pause(two)]

    async def test_a_turn_is_withdrawn_once(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(item := chat.item("one"))
        done = await asyncio.gather(*(withdraw(chat, lease, item) for _ in range(5)))
        assert sorted(done) == [False] * 4 + [True]

    async def test_a_turn_whose_lease_has_expired_is_withdrawn_unless_another_took_over(
        self, store: Store
    ) -> None:
        chat = Chat(store)
        lease = await chat.open(item := chat.item("one"), seconds=SHORT_LEASE)
        await asyncio.sleep(SHORT_LEASE * 3)
        assert await withdraw(chat, lease, item)
        assert not (await chat.begin()).interrupted
        assert await chat.texts() == []

    @pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss.__name__ != "repeated"])
    @pytest.mark.parametrize("created", [False, True])
    async def test_a_turn_that_does_not_hold_the_thread_is_not_withdrawn(
        self, store: Store, loss: Callable[[Chat, Lease], Awaitable[None]], *, created: bool
    ) -> None:
        chat, mine = Chat(store), file()
        await store.save_attachment(mine, chat.context)
        lease = await chat.open(item := chat.item("one"), attachments=[claimed(mine, chat)])
        await loss(chat, lease)
        before = await chat.history_texts()
        assert await withdraw(chat, lease, item, created=created, attachments=(mine,)) is False
        assert await chat.history_texts() == before
        assert await store.load_record(chat.id, chat.context) == chat.thread
        if loss is not recreated:
            assert await store.load_attachment(mine.id, chat.context) == claimed(mine, chat)

    async def test_a_turn_that_never_began_is_not_withdrawn(self, store: Store) -> None:
        chat, mine = Chat(store), file()
        await store.save_attachment(mine, chat.context)
        never = Lease(thread_id=chat.id, turn_id=new_id("turn"), fence=1, user=chat.context.user)
        for _ in range(2):
            assert await withdraw(chat, never, chat.item(), created=True, attachments=(mine,)) is False
            assert await store.load_attachment(mine.id, chat.context) == mine
            await chat.save()  # now the thread exists, and no turn holds it
        assert await store.load_record(chat.id, chat.context) == chat.thread
