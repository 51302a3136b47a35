"""Contract tests of `load_history`: a range of the sequence, hidden items included, within a budget."""

import pytest

from chatrack.interfaces.records import ItemRecord
from chatrack.interfaces.store import Store
from chatrack.testing.factories import Chat, text_of


async def create_chat(store: Store, *, turns: int, items: int) -> tuple[Chat, list[ItemRecord]]:
    """Create a thread with turns of equal length."""
    chat = Chat(store)
    for turn in range(turns):
        lease = await (chat.begin() if turn else chat.open())
        written = [chat.item(f"{turn} {number}", lease) for number in range(items)]
        await store.end_turn(lease, written)
    return chat, await store.load_history(chat.id, chat.context)


class HistoryContract:
    """`load_history`."""

    async def test_history_has_the_hidden_in_their_places_and_nothing_uncommitted(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(chat.item("one"), hidden := chat.hidden_item(), chat.item("two"))
        await store.write(lease, [chat.item("retried", lease), chat.hidden_item(lease)], uncommitted=True)
        assert await chat.history_texts() == ["one", hidden.type, "two"]

    async def test_history_begins_where_the_thread_says(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(*(chat.item(str(number)) for number in range(5)))
        third = (await chat.visible_items())[2].seq
        await store.start_history_at(lease, third)
        assert (await store.load_record(chat.id, chat.context)).history_from == third
        assert await chat.history_texts() == ["2", "3", "4"]
        assert await chat.history_texts(first=0) == ["0", "1", "2", "3", "4"]
        assert await chat.texts() == ["0", "1", "2", "3", "4"]
        await store.start_history_at(lease, 0)
        assert await chat.history_texts() == ["0", "1", "2", "3", "4"]

    async def test_history_has_a_first_and_a_before(self, store: Store) -> None:
        chat = Chat(store)
        await chat.open(*(chat.item(str(number)) for number in range(6)))
        seqs = [record.seq for record in await chat.visible_items()]
        assert await chat.history_texts(first=seqs[2]) == ["2", "3", "4", "5"]
        assert await chat.history_texts(before=seqs[2]) == ["0", "1"]
        assert await chat.history_texts(first=seqs[1], before=seqs[3]) == ["1", "2"]
        assert await chat.history_texts(first=seqs[1], before=seqs[3], budget=1_000_000) == ["1", "2"]
        assert await chat.history_texts(first=seqs[3], before=seqs[3]) == []
        assert await chat.history_texts(first=seqs[5] + 1) == []

    async def test_an_empty_thread_has_an_empty_history(self, store: Store) -> None:
        chat = await Chat(store).save()
        assert await chat.history_texts() == []
        assert await chat.history_texts(budget=10) == []

    @pytest.mark.parametrize("items", [1, 3])
    async def test_a_budget_keeps_the_newest_and_the_newest_turn_whole(
        self, store: Store, items: int
    ) -> None:
        chat, everything = await create_chat(store, turns=5, items=items)
        size = max(len(record.data) for record in everything)
        for budget in (0, 1, size, 4 * size, 7 * size, 10_000 * size):
            found = await store.load_history(chat.id, chat.context, budget=budget)
            assert found == everything[-len(found) :]
            assert len(found) >= items
            if len(found) < len(everything):
                assert sum(len(record.data) for record in found) > budget
            # A store may need the item before the newest turn to see that the turn is complete.
            shorter = found[2:]
            assert len(shorter) < items or sum(len(record.data) for record in shorter) <= budget

    async def test_a_budget_looks_back_from_before(self, store: Store) -> None:
        chat, everything = await create_chat(store, turns=4, items=2)
        found = await store.load_history(chat.id, chat.context, before=everything[4].seq, budget=0)
        assert [text_of(record) for record in found][-2:] == ["1 0", "1 1"]
        assert len(found) <= 3

    async def test_a_long_history_is_whole(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open()
        await store.write(lease, [chat.item(str(number), lease) for number in range(260)])
        for budget in (None, 10_000_000, 0):  # all items are of the newest turn
            assert await chat.history_texts(budget=budget) == [str(number) for number in range(260)]
