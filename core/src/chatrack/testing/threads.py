"""Contract tests of threads: changed one column at a time, deleted with everything in them."""

import asyncio

import msgspec
import pytest

from chatrack.errors import LeaseLost, NotFound
from chatrack.interfaces.store import Store
from chatrack.testing.factories import Chat, assert_raises, file


class ThreadsContract:
    """Changing and deleting threads."""

    # -- renames ----------------------------------------------------------------------------------

    async def test_a_title_is_changed_alone(self, store: Store) -> None:
        chat = Chat(store)
        full = msgspec.structs.replace(
            chat.thread, status='{"type":"closed"}', allowed_image_domains='["example.com"]'
        )
        await store.put_thread(full, chat.context)
        await store.set_title(chat.id, "by the user", chat.context)
        assert await store.load_record(chat.id, chat.context) == msgspec.structs.replace(
            full, title="by the user"
        )

    async def test_a_title_is_replaced_only_if_it_is_the_expected_one(self, store: Store) -> None:
        chat = Chat(store)
        unnamed = msgspec.structs.replace(chat.thread, title=None)
        await store.put_thread(unnamed, chat.context)
        assert not await store.replace_title(chat.id, "T", "by the model", chat.context)
        assert not await store.replace_title(chat.id, "", "by the model", chat.context)
        assert await store.load_record(chat.id, chat.context) == unnamed
        assert await store.replace_title(chat.id, None, "by the model", chat.context)
        assert not await store.replace_title(chat.id, None, "again", chat.context)
        assert not await store.replace_title(chat.id, "By the model ", "again", chat.context)
        assert await store.load_record(chat.id, chat.context) == msgspec.structs.replace(
            unnamed, title="by the model"
        )

    async def test_of_many_who_replace_the_same_title_one_does(self, store: Store) -> None:
        chat = await Chat(store).save()
        done = await asyncio.gather(
            *(store.replace_title(chat.id, "T", str(number), chat.context) for number in range(20))
        )
        assert done.count(True) == 1
        assert (await store.load_record(chat.id, chat.context)).title == str(done.index(True))

    async def test_a_turn_does_not_undo_a_rename(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(chat.item("one"))
        await store.set_title(chat.id, "by the user", chat.context)
        await store.write(lease, [chat.item("two")])
        await store.checkpoint([(lease, [chat.item("three")], False)])
        await store.start_history_at(lease, 2)
        await store.end_turn(lease, [chat.item("four")])
        await chat.begin()
        assert (await store.load_record(chat.id, chat.context)).title == "by the user"

    async def test_saving_a_thread_undoes_nothing_that_is_not_its_metadata(self, store: Store) -> None:
        chat = Chat(store)
        await chat.save()
        stale = await store.load_thread(chat.id, chat.context)
        lease = await chat.begin(chat.item("one"), chat.item("two"))
        seq = (await chat.visible_items())[1].seq
        await store.start_history_at(lease, seq)
        await store.save_thread(stale.model_copy(update={"metadata": {"k": 2}}), chat.context)
        assert await store.load_record(chat.id, chat.context) == msgspec.structs.replace(
            chat.thread, metadata='{"k":2}', history_from=seq
        )
        await store.write(lease, [chat.item("three")])
        assert await chat.texts() == ["one", "two", "three"]
        assert await chat.history_texts() == ["two", "three"]

    async def test_renames_and_turns_at_the_same_time_lose_nothing(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open()

        async def rename() -> None:
            for number in range(10):
                await store.set_title(chat.id, f"title {number}", chat.context)

        async def talk() -> None:
            for number in range(10):
                await store.write(lease, [chat.item(str(number))])
                await store.start_history_at(lease, number)

        await asyncio.gather(rename(), talk())
        thread = await store.load_record(chat.id, chat.context)
        assert (thread.title, thread.history_from) == ("title 9", 9)
        assert await chat.texts() == [str(number) for number in range(10)]

    async def test_a_thread_that_many_save_at_once_is_one_thread(self, store: Store) -> None:
        chat = Chat(store)
        await asyncio.gather(*(chat.save() for _ in range(8)))
        page = await store.page_threads(after=None, limit=9, order="asc", context=chat.context)
        assert page.data == [chat.thread]

    async def test_an_attachment_that_many_save_at_once_is_one_attachment(self, store: Store) -> None:
        chat, mine = Chat(store), file()
        await asyncio.gather(*(store.save_attachment(mine, chat.context) for _ in range(8)))
        assert await store.load_attachment(mine.id, chat.context) == mine

    async def test_threads_that_are_not_there_are_not_found(self, store: Store) -> None:
        chat = Chat(store)
        await assert_raises(
            NotFound,
            store.set_title(chat.id, "x", chat.context),
            store.replace_title(chat.id, None, "x", chat.context),
            store.delete_thread(chat.id, chat.context),
            store.put_item(chat.item(), chat.context),
            store.save_attachment(file(chat.id), chat.context),
            chat.begin(),
        )

    # -- deleting ---------------------------------------------------------------------------------

    async def test_a_thread_goes_with_all_that_is_its_own(self, store: Store) -> None:
        chat = Chat(store)
        one, other, loose = file(), file(), file()
        for attachment in (one, other, loose):
            await store.save_attachment(attachment, chat.context)
        item = chat.item("one")
        lease = await chat.open(
            item, chat.hidden_item(), attachments=[one.model_copy(update={"thread_id": chat.id})]
        )
        await store.save_attachment(other.model_copy(update={"thread_id": chat.id}), chat.context)
        await store.write(lease, pauses=[chat.pause(item)])
        await store.write(lease, [chat.item("retried", lease)], uncommitted=True)
        await store.save_feedback(chat.id, [item.id], "positive", chat.context)
        await store.delete_thread(chat.id, chat.context)
        await assert_raises(
            NotFound,
            store.load_record(chat.id, chat.context),
            store.load_item_record(chat.id, item.id, chat.context),
            store.page_items(chat.id, after=None, limit=5, order="asc", context=chat.context),
            store.load_history(chat.id, chat.context),
            store.load_pauses(chat.id, chat.context),
            store.load_attachment(one.id, chat.context),
            store.load_attachment(other.id, chat.context),
            store.delete_thread(chat.id, chat.context),
        )
        with pytest.raises(LeaseLost):
            await store.write(lease, [chat.item("late")])
        assert await store.load_attachment(loose.id, chat.context) == loose

    async def test_a_thread_that_is_made_anew_has_nothing_of_the_old_one(self, store: Store) -> None:
        chat = Chat(store)
        item = chat.item("old")
        old = await chat.open(item, chat.hidden_item())
        await store.write(old, pauses=[chat.pause(item)])
        await store.delete_thread(chat.id, chat.context)
        new = await chat.open()
        assert not new.interrupted
        assert await chat.history_texts() == []
        await store.put_item(item, chat.context)
        assert await chat.pauses() == []
        await assert_raises(LeaseLost, store.write(old, [chat.item("late")]), store.end_turn(old))
        assert await store.renew([old, new], seconds=60) == {new.turn_id}
        assert await chat.texts() == ["old"]

    async def test_other_threads_stay(self, store: Store) -> None:
        gone = Chat(store)
        kept = Chat(store, gone.context)
        item = kept.item("kept")
        mine = file()
        await store.save_attachment(mine, kept.context)
        lease = await kept.open(item, attachments=[mine.model_copy(update={"thread_id": kept.id})])
        await store.write(lease, pauses=[kept.pause(item)])
        await gone.open(gone.item(), gone.hidden_item())
        await store.delete_thread(gone.id, gone.context)
        assert await kept.texts() == ["kept"]
        assert await kept.pauses() == [kept.pause(item)]
        assert (await store.load_attachment(mine.id, kept.context)).thread_id == kept.id
        assert await store.renew([lease], seconds=60) == {lease.turn_id}

    async def test_an_item_goes_alone(self, store: Store) -> None:
        chat = Chat(store)
        await chat.open(chat.item("one"), second := chat.item("two"), chat.item("three"))
        await store.delete_thread_item(chat.id, second.id, chat.context)
        assert await chat.texts() == ["one", "three"]
        with pytest.raises(NotFound):
            await store.load_item_record(chat.id, second.id, chat.context)
        await store.put_item(second, chat.context)
        assert await chat.texts() == ["one", "three", "two"]

    async def test_a_thread_that_goes_during_a_write_takes_it_along(self, store: Store) -> None:
        for _ in range(5):
            chat = Chat(store)
            lease = await chat.open()
            written, *_ = await asyncio.gather(
                store.write(lease, [chat.item(), chat.item()]),
                store.delete_thread(chat.id, chat.context),
                return_exceptions=True,
            )
            assert written is None or isinstance(written, LeaseLost)
            with pytest.raises(NotFound):
                await store.load_record(chat.id, chat.context)
