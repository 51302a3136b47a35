"""Contract tests of pages: full, in order, each record once."""

import asyncio

import msgspec
import pytest

from chatrack.clock import to_micros
from chatrack.errors import NotFound
from chatrack.interfaces.records import RecordPage, ThreadPage, item_to_record
from chatrack.interfaces.store import Store
from chatrack.testing.factories import MOMENT, Chat, collect_ids, context_of, message

ORDERS = pytest.mark.parametrize("order", ["asc", "desc"])


def oldest_first(found: list[str], order: str) -> list[str]:
    """Return the ids in ascending order."""
    return found if order == "asc" else found[::-1]


async def walk_items(chat: Chat, order: str, limit: int) -> list[str]:
    """Return the ids on all pages of a thread."""

    async def page(after: str | None) -> RecordPage:
        return await chat.store.page_items(
            chat.id, after=after, limit=limit, order=order, context=chat.context
        )

    return await collect_ids(page, limit=limit)


async def walk_threads(chat: Chat, order: str, limit: int) -> list[str]:
    """Return the ids on all pages of a user's threads."""

    async def page(after: str | None) -> ThreadPage:
        return await chat.store.page_threads(after=after, limit=limit, order=order, context=chat.context)

    return await collect_ids(page, limit=limit)


class PagingContract:
    """Pages of items and of threads."""

    @ORDERS
    @pytest.mark.parametrize("limit", [1, 4, 5])
    async def test_pages_are_full_whatever_is_hidden_or_uncommitted(
        self, store: Store, order: str, limit: int
    ) -> None:
        chat = Chat(store)
        lease = await chat.open()
        visible = []
        for number in range(9):
            shown = chat.item(str(number), lease)  # all with the same time
            visible.append(shown.id)
            await store.write(lease, [chat.hidden_item(lease), shown, chat.hidden_item(lease)])
            await store.write(lease, [chat.item("retried", lease), chat.hidden_item(lease)], uncommitted=True)
        assert oldest_first(await walk_items(chat, order, limit), order) == visible

    @ORDERS
    async def test_items_are_in_the_order_of_writing_whatever_their_times(
        self, store: Store, order: str
    ) -> None:
        chat = await Chat(store).save()
        made = []
        for year in (2026, 1999, 2030, 2001, 1999):
            made.append(item_to_record(message(chat.id, created_at=MOMENT.replace(year=year))))
            await store.put_item(made[-1], chat.context)
        assert oldest_first(await walk_items(chat, order, 2), order) == [record.id for record in made]

    @ORDERS
    async def test_has_more_is_exact(self, store: Store, order: str) -> None:
        chat = Chat(store)
        await chat.open(
            chat.item("a"), chat.hidden_item(), chat.item("b"), chat.item("c"), chat.hidden_item()
        )
        for limit, expected in ((1, 1), (2, 2), (3, 3), (4, 3), (100, 3)):
            page = await store.page_items(chat.id, after=None, limit=limit, order=order, context=chat.context)
            assert (len(page.data), page.has_more) == (expected, limit < 3)
        last = page.data[-1].id
        behind = await store.page_items(chat.id, after=last, limit=1, order=order, context=chat.context)
        assert (behind.data, behind.has_more) == ([], False)

    @ORDERS
    async def test_an_empty_thread_has_an_empty_page(self, store: Store, order: str) -> None:
        chat = await Chat(store).save()
        page = await store.page_items(chat.id, after=None, limit=5, order=order, context=chat.context)
        assert (page.data, page.has_more, page.after) == ([], False, None)
        assert await store.thread_with_items(chat.id, limit=5, context=chat.context) == (chat.thread, page)

    @ORDERS
    async def test_a_cursor_that_the_client_cannot_have_is_not_found(self, store: Store, order: str) -> None:
        chat = Chat(store)
        lease = await chat.open(chat.item("a"), hidden := chat.hidden_item(), gone := chat.item("b"))
        await store.write(lease, [pending := chat.item("retried", lease)], uncommitted=True)
        await store.write(lease, remove=[gone.id])
        for cursor in (hidden.id, pending.id, gone.id, "msg_unknown", "", chat.id):
            with pytest.raises(NotFound):
                await store.page_items(chat.id, after=cursor, limit=5, order=order, context=chat.context)

    async def test_a_thread_comes_with_its_oldest_items(self, store: Store) -> None:
        chat = Chat(store)
        await chat.open(chat.hidden_item(), *(chat.item(str(number)) for number in range(5)))
        for limit in (1, 4, 5, 6):
            first = await store.page_items(
                chat.id, after=None, limit=limit, order="asc", context=chat.context
            )
            assert await store.thread_with_items(chat.id, limit=limit, context=chat.context) == (
                chat.thread,
                first,
            )

    async def test_chatkits_own_methods_give_the_same_pages(self, store: Store) -> None:
        chat = Chat(store)
        await chat.open(*(chat.item(str(number)) for number in range(3)))
        records = await store.page_items(chat.id, after=None, limit=2, order="desc", context=chat.context)
        items = await store.load_thread_items(chat.id, None, 2, "desc", chat.context)
        assert [item.id for item in items.data] == [record.id for record in records.data]
        assert (items.has_more, items.after) == (records.has_more, records.after)
        threads = await store.load_threads(2, None, "desc", chat.context)
        assert threads.data == [await store.load_thread(chat.id, chat.context)]
        assert not threads.has_more

    @ORDERS
    async def test_paging_while_others_write_gives_each_item_once(self, store: Store, order: str) -> None:
        chat = await Chat(store).save()
        for number in range(8):
            await store.put_item(chat.item(f"before {number}"), chat.context)

        async def write(writer: int) -> None:
            for number in range(12):
                await store.put_item(chat.item(f"{writer} {number}"), chat.context)

        writers = [asyncio.ensure_future(write(number)) for number in range(4)]
        walks = []
        while not all(writer.done() for writer in writers):
            walks.append(oldest_first(await walk_items(chat, order, 3), order))
        await asyncio.gather(*writers)
        everything = [record.id for record in await chat.visible_items()]
        assert len(everything) == 8 + 4 * 12
        for found in walks:
            # An item that is inserted before one that was already read would be missing.
            assert found == everything[: len(found)]
        assert oldest_first(await walk_items(chat, order, 3), order) == everything

    # -- threads ---------------------------------------------------------------------------------------

    async def test_threads_of_the_same_moment_are_all_there(self, store: Store) -> None:
        me = context_of()
        made = [Chat(store, me) for _ in range(9)]
        for number, chat in enumerate(made):
            moment = to_micros(MOMENT) + number // 4  # four, four and one of the same microsecond
            chat.thread = msgspec.structs.replace(chat.thread, created_at=moment)
            await chat.save()
        for limit in (1, 2, 3, 9):
            down, up = [await walk_threads(made[0], order, limit) for order in ("desc", "asc")]
            assert up == down[::-1]
            assert sorted(up) == sorted(chat.id for chat in made)
            moments = [(await store.load_record(thread_id, me)).created_at for thread_id in up]
            assert moments == sorted(moments)

    @ORDERS
    async def test_has_more_of_threads_is_exact(self, store: Store, order: str) -> None:
        me = context_of()
        assert await store.page_threads(after=None, limit=5, order=order, context=me) == ThreadPage(data=[])
        for _ in range(3):
            await Chat(store, me).save()
        for limit, expected in ((1, 1), (2, 2), (3, 3), (4, 3)):
            page = await store.page_threads(after=None, limit=limit, order=order, context=me)
            assert (len(page.data), page.has_more) == (expected, limit < 3)
        behind = await store.page_threads(after=page.data[-1].id, limit=1, order=order, context=me)
        assert (behind.data, behind.has_more) == ([], False)

    @ORDERS
    async def test_a_thread_that_is_gone_is_no_cursor(self, store: Store, order: str) -> None:
        chat = await Chat(store).save()
        gone = await Chat(store, chat.context).save()
        await store.delete_thread(gone.id, chat.context)
        for cursor in (gone.id, "thr_unknown", ""):
            with pytest.raises(NotFound):
                await store.page_threads(after=cursor, limit=5, order=order, context=chat.context)

    async def test_threads_keep_their_places_when_they_are_used(self, store: Store) -> None:
        me = context_of()
        made = [await Chat(store, me).save() for _ in range(3)]
        await store.set_title(made[0].id, "again", me)
        await store.end_turn(await made[1].begin(made[1].item()))
        await store.put_thread(made[0].thread, me)
        assert await walk_threads(made[0], "asc", 2) == [chat.id for chat in made]

    @ORDERS
    async def test_paging_threads_while_others_come_gives_each_thread_once(
        self, store: Store, order: str
    ) -> None:
        me = context_of()
        before = [await Chat(store, me).save() for _ in range(6)]

        async def write() -> None:
            for _ in range(6):
                await Chat(store, me).save()

        writers = [asyncio.ensure_future(write()) for _ in range(3)]
        while not all(writer.done() for writer in writers):
            found = await walk_threads(before[0], order, 2)
            assert len(found) == len(set(found))
            assert {chat.id for chat in before} <= set(found)
        await asyncio.gather(*writers)
        assert len(await walk_threads(before[0], order, 2)) == 6 + 3 * 6
