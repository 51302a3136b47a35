"""Contract tests of leases and fences: a turn that has lost its thread writes nothing."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from chatrack.errors import LeaseLost, NotFound, ThreadBusy
from chatrack.interfaces.lease import Lease
from chatrack.interfaces.store import Store
from chatrack.testing.factories import SHORT_LEASE, Chat, assert_raises, context_of
from chatrack.testing.tenant_isolation import owned_methods


def leased_methods(store: type[Store] = Store) -> list[str]:
    """Return the names of the methods that take a lease.

    Args:
        store: the interface.
    """
    return [
        name
        for name in owned_methods(store)
        if {"lease", "leases", "writes"} & inspect.signature(getattr(store, name)).parameters.keys()
    ]


def uses_of(chat: Chat, lease: Lease) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return a call of each method that takes a lease."""
    store = chat.store
    late = chat.item("late", lease)

    async def renew() -> None:
        if await store.renew([lease], seconds=60) != {lease.turn_id}:
            raise LeaseLost

    async def checkpoint() -> None:
        await store.checkpoint([(lease, [late], False)])  # skips stale leases without an error
        await renew()

    return {
        "renew": renew,
        "checkpoint": checkpoint,
        "write": lambda: store.write(lease, [late], pauses=[chat.pause(late)]),
        "end_turn": lambda: store.end_turn(lease, [late]),
        "start_history_at": lambda: store.start_history_at(lease, 99),
    }


async def ended(chat: Chat, lease: Lease) -> None:
    """End the turn."""
    await chat.store.end_turn(lease)


async def followed(chat: Chat, lease: Lease) -> None:
    """End the turn and begin another."""
    await chat.store.end_turn(lease)
    await chat.begin()


async def repeated(chat: Chat, lease: Lease) -> None:
    """End the turn and begin one with the same id."""
    await chat.store.end_turn(lease)
    await chat.begin(turn_id=lease.turn_id)


async def taken_over(chat: Chat, lease: Lease) -> None:
    """Let the lease expire and begin another turn."""
    await chat.expire(lease)
    await chat.take_over()


async def recreated(chat: Chat, lease: Lease) -> None:
    """Delete the thread and create one with the same id."""
    await chat.store.delete_thread(chat.id, chat.context)
    await chat.open()


LOSSES = [ended, followed, repeated, taken_over, recreated]
"""The ways in which a turn loses its thread."""


class LeasesContract:
    """Leases, and the writes of turns."""

    async def test_one_turn_at_a_time_with_a_growing_fence(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open()
        for _ in range(3):
            with pytest.raises(ThreadBusy):
                await chat.begin(chat.item("too early"))
            await store.end_turn(lease)
            following = await chat.begin()
            assert following.fence > lease.fence
            assert not following.interrupted
            lease = following
        assert await chat.texts() == []

    async def test_a_lease_says_what_it_is(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(turn_id="trn_mine")
        assert (lease.thread_id, lease.turn_id, lease.user) == (chat.id, "trn_mine", chat.context.user)
        assert not lease.interrupted

    @pytest.mark.parametrize("method", leased_methods())
    @pytest.mark.parametrize("loss", LOSSES)
    async def test_a_stale_fence_writes_nothing_with(
        self, store: Store, method: str, loss: Callable[[Chat, Lease], Awaitable[None]]
    ) -> None:
        chat = Chat(store)
        lease = await chat.open()
        await store.write(lease, [kept := chat.item("kept")])
        await loss(chat, lease)
        uses = uses_of(chat, lease)
        assert method in uses, f"no test uses Store.{method} with a stale fence"
        before = await chat.history_texts()
        with pytest.raises(LeaseLost):
            await uses[method]()
        assert await chat.history_texts() == before
        assert await chat.pauses() == []
        thread = await store.load_record(chat.id, chat.context)
        assert thread.history_from == 0
        if loss is not recreated:
            assert await chat.texts() == ["kept"]
            assert (await store.load_item_record(chat.id, kept.id, chat.context)).data == kept.data

    @pytest.mark.parametrize("fence", [-1, 1])
    async def test_a_fence_that_was_never_given_is_stale(self, store: Store, fence: int) -> None:
        chat = Chat(store)
        await store.end_turn(await chat.open())
        lease = await chat.begin()
        forged = msgspec.structs.replace(lease, fence=lease.fence + fence)
        for use in uses_of(chat, forged).values():
            with pytest.raises(LeaseLost):
                await use()
        assert await chat.history_texts() == []
        await store.write(lease, [chat.item()])

    async def test_a_stale_write_changes_nothing_of_what_is_there(self, store: Store) -> None:
        chat = Chat(store)
        dead = await chat.open(item := chat.item("kept"))
        await store.write(dead, pauses=[chat.pause(item)])
        await taken_over(chat, dead)
        await assert_raises(
            LeaseLost,
            store.write(dead, [chat.item("changed", item_id=item.id)]),
            store.write(dead, remove=[item.id]),
            store.write(dead, resolve=[item.id]),
            store.end_turn(dead, replace=[item.id]),
            store.end_turn(dead, drop=True),
        )
        assert await chat.texts() == ["kept"]
        assert await chat.pauses() == [chat.pause(item)]

    async def test_an_expired_lease_is_taken_over(self, store: Store) -> None:
        chat = Chat(store)
        dead = await chat.open(chat.item("kept"), seconds=SHORT_LEASE)
        alive = await chat.take_over(chat.item("opening"), after_interruption=[chat.item("marker")])
        assert alive.interrupted
        assert alive.fence > dead.fence
        assert await chat.texts() == ["kept", "marker", "opening"]
        with pytest.raises(ThreadBusy):
            await chat.begin()

    async def test_of_many_who_take_over_one_does(self, store: Store) -> None:
        chat = Chat(store)
        await chat.open(seconds=SHORT_LEASE)
        await asyncio.sleep(SHORT_LEASE * 5)
        results = await asyncio.gather(
            *(chat.begin(chat.item(str(number))) for number in range(20)), return_exceptions=True
        )
        leases = [result for result in results if isinstance(result, Lease)]
        if not leases:  # the store's clock may be coarser
            leases = [await chat.take_over()]
        assert len(leases) == 1
        assert leases[0].interrupted
        assert all(isinstance(result, Lease | ThreadBusy) for result in results)

    async def test_an_expired_lease_that_nobody_took_is_renewed(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(seconds=SHORT_LEASE)
        await asyncio.sleep(SHORT_LEASE * 3)
        assert await store.renew([lease], seconds=60) == {lease.turn_id}
        with pytest.raises(ThreadBusy):
            await chat.begin()
        await store.write(lease, [chat.item()])

    async def test_a_lease_that_is_renewed_in_time_is_not_taken(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(seconds=0.2)
        await store.renew([lease], seconds=60)
        await asyncio.sleep(0.3)
        with pytest.raises(ThreadBusy):
            await chat.begin()

    async def test_renewing_tells_exactly_which_are_held(self, store: Store) -> None:
        me = context_of()
        chats = [Chat(store, me) for _ in range(4)] + [Chat(store) for _ in range(4)]
        leases = [await chat.open() for chat in chats]
        losses = [None, ended, followed, taken_over, None, recreated, None, None]
        for chat, lease, loss in zip(chats, leases, losses, strict=True):
            if loss is not None:
                await loss(chat, lease)
        await chats[6].store.delete_thread(chats[6].id, chats[6].context)
        leases[7] = msgspec.structs.replace(leases[7], fence=leases[7].fence + 1)
        assert await store.renew(leases, seconds=60) == {leases[0].turn_id, leases[4].turn_id}
        assert await store.renew([], seconds=60) == set()

    async def test_a_checkpoint_of_many_skips_only_the_stale(self, store: Store) -> None:
        chats = [Chat(store) for _ in range(6)]
        leases = [await chat.open(chat.item("opening")) for chat in chats]
        await taken_over(chats[1], leases[1])
        await ended(chats[2], leases[2])
        await store.delete_thread(chats[3].id, chats[3].context)
        for words in ("half", "whole"):
            await store.checkpoint(
                [
                    (lease, [chat.item(words, lease, item_id="msg_1"), chat.hidden_item(lease)], number == 5)
                    for number, (chat, lease) in enumerate(zip(chats, leases, strict=True))
                ]
            )
        for number, expected in enumerate((["opening", "whole"], ["opening"], ["opening"])):
            assert await chats[number].texts() == expected
        with pytest.raises(NotFound):
            await chats[3].texts()
        assert await chats[4].texts() == ["opening", "whole"]
        assert await chats[5].texts() == ["opening"]
        await store.end_turn(leases[5])
        assert await chats[5].texts() == ["opening", "whole"]
        await store.checkpoint([])
        await store.checkpoint([(leases[0], [], False)])
        await store.write(leases[0], [chats[0].item("last")])
        assert await chats[0].texts() == ["opening", "whole", "last"]

    # -- concurrency ----------------------------------------------------------------------------------

    async def test_fifty_writers_of_fifty_threads_lose_nothing(self, store: Store) -> None:
        async def talk() -> Chat:
            chat = Chat(store)
            lease = await chat.open(chat.item("0"))
            for number in range(1, 4):
                await store.write(lease, [chat.item(str(number)), chat.hidden_item()])
            await store.end_turn(lease, [chat.item("4")])
            return chat

        for chat in await asyncio.gather(*(talk() for _ in range(50))):
            assert await chat.texts() == ["0", "1", "2", "3", "4"]
            assert len(await chat.history_texts()) == 8

    async def test_of_fifty_who_want_one_thread_one_gets_it(self, store: Store) -> None:
        chat = await Chat(store).save()
        results = await asyncio.gather(
            *(chat.begin(chat.item(str(number))) for number in range(50)), return_exceptions=True
        )
        [winner] = [result for result in results if isinstance(result, Lease)]
        assert [type(result) for result in results].count(ThreadBusy) == 49
        assert await chat.texts() == [str(results.index(winner))]

    async def test_ten_who_wait_for_one_thread_write_one_after_the_other(self, store: Store) -> None:
        chat = await Chat(store).save()
        fences: list[int] = []

        async def talk(number: int) -> None:
            lease = await chat.take_over()
            fences.append(lease.fence)
            await store.write(lease, [chat.item(f"{number} a"), chat.hidden_item()])
            await store.end_turn(lease, [chat.item(f"{number} b")])

        await asyncio.gather(*(talk(number) for number in range(10)))
        words = await chat.texts()
        assert len(words) == 20
        assert [first.split()[0] for first in words[::2]] == [second.split()[0] for second in words[1::2]]
        assert fences == sorted(set(fences))
