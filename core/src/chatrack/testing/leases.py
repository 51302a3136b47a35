"""One turn at a time: leases, fences, and what a turn that lost its thread can still do, which is nothing."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from chatrack.errors import LeaseLost, NotFound, ThreadBusy
from chatrack.interfaces.lease import Lease
from chatrack.interfaces.store import Store
from chatrack.testing.factories import SOON, Chat, as_user, refused
from chatrack.testing.tenant_isolation import owned_methods


def leased_methods(store: type[Store] = Store) -> list[str]:
    """Give the names of the interface's methods that take a lease.

    Args:
        store: the interface.
    """
    return [
        name
        for name in owned_methods(store)
        if {"lease", "leases", "writes"} & inspect.signature(getattr(store, name)).parameters.keys()
    ]


def writes(chat: Chat, lease: Lease) -> dict[str, Callable[[], Awaitable[object]]]:
    """Make a use of a lease with each method that takes one; it gives None if it is held."""
    store = chat.store
    late = chat.says("late", lease)

    async def renew() -> None:
        if await store.renew([lease], seconds=60) != {lease.turn_id}:
            raise LeaseLost

    async def checkpoint() -> None:
        await store.checkpoint([(lease, [late], False)])  # says nothing; what it wrote tells
        await renew()

    return {
        "renew": renew,
        "checkpoint": checkpoint,
        "write": lambda: store.write(lease, [late], pauses=[chat.waits(late)]),
        "end_turn": lambda: store.end_turn(lease, [late]),
        "start_history_at": lambda: store.start_history_at(lease, 99),
    }


async def ended(chat: Chat, lease: Lease) -> None:
    """Let the turn end."""
    await chat.store.end_turn(lease)


async def followed(chat: Chat, lease: Lease) -> None:
    """Let the turn end and another begin."""
    await chat.store.end_turn(lease)
    await chat.begin()


async def repeated(chat: Chat, lease: Lease) -> None:
    """Let the turn end and one of the same id begin."""
    await chat.store.end_turn(lease)
    await chat.begin(turn_id=lease.turn_id)


async def taken_over(chat: Chat, lease: Lease) -> None:
    """Let the turn die and another begin."""
    await chat.die(lease)
    await chat.take_over()


async def recreated(chat: Chat, lease: Lease) -> None:
    """Delete the thread and make one of the same id."""
    await chat.store.delete_thread(chat.id, chat.context)
    await chat.open()


LOSSES = [ended, followed, repeated, taken_over, recreated]
"""How a turn loses its thread."""


class LeasesContract:
    """Who may write."""

    async def test_one_turn_at_a_time_with_a_growing_fence(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open()
        for _ in range(3):
            with pytest.raises(ThreadBusy):
                await chat.begin(chat.says("too early"))
            await store.end_turn(lease)
            following = await chat.begin()
            assert following.fence > lease.fence
            assert not following.interrupted
            lease = following
        assert await chat.words() == []

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
        await store.write(lease, [kept := chat.says("kept")])
        await loss(chat, lease)
        uses = writes(chat, lease)
        assert method in uses, f"nobody has tried a stale fence with Store.{method}"
        before = await chat.known()
        with pytest.raises(LeaseLost):
            await uses[method]()
        assert await chat.known() == before
        assert await chat.pauses() == []
        thread = await store.load_record(chat.id, chat.context)
        assert thread.history_from == 0
        if loss is not recreated:
            assert await chat.words() == ["kept"]
            assert (await store.load_item_record(chat.id, kept.id, chat.context)).data == kept.data

    @pytest.mark.parametrize("fence", [-1, 1])
    async def test_a_fence_that_was_never_given_is_stale(self, store: Store, fence: int) -> None:
        chat = Chat(store)
        await store.end_turn(await chat.open())
        lease = await chat.begin()
        forged = msgspec.structs.replace(lease, fence=lease.fence + fence)
        for use in writes(chat, forged).values():
            with pytest.raises(LeaseLost):
                await use()
        assert await chat.known() == []
        await store.write(lease, [chat.says()])

    async def test_a_stale_write_changes_nothing_of_what_is_there(self, store: Store) -> None:
        chat = Chat(store)
        dead = await chat.open(item := chat.says("kept"))
        await store.write(dead, pauses=[chat.waits(item)])
        await taken_over(chat, dead)
        await refused(
            LeaseLost,
            store.write(dead, [chat.says("changed", item_id=item.id)]),
            store.write(dead, remove=[item.id]),
            store.write(dead, resolve=[item.id]),
            store.end_turn(dead, replace=[item.id]),
            store.end_turn(dead, drop=True),
        )
        assert await chat.words() == ["kept"]
        assert await chat.pauses() == [chat.waits(item)]

    async def test_an_expired_lease_is_taken_over(self, store: Store) -> None:
        chat = Chat(store)
        dead = await chat.open(chat.says("kept"), seconds=SOON)
        alive = await chat.take_over(chat.says("opening"), after_interruption=[chat.says("marker")])
        assert alive.interrupted
        assert alive.fence > dead.fence
        assert await chat.words() == ["kept", "marker", "opening"]
        with pytest.raises(ThreadBusy):
            await chat.begin()

    async def test_of_many_who_take_over_one_does(self, store: Store) -> None:
        chat = Chat(store)
        await chat.open(seconds=SOON)
        await asyncio.sleep(SOON * 5)
        results = await asyncio.gather(
            *(chat.begin(chat.says(str(number))) for number in range(20)), return_exceptions=True
        )
        leases = [result for result in results if isinstance(result, Lease)]
        if not leases:  # the store's clock is coarser than ours
            leases = [await chat.take_over()]
        assert len(leases) == 1
        assert leases[0].interrupted
        assert all(isinstance(result, Lease | ThreadBusy) for result in results)

    async def test_an_expired_lease_that_nobody_took_is_renewed(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(seconds=SOON)
        await asyncio.sleep(SOON * 3)
        assert await store.renew([lease], seconds=60) == {lease.turn_id}
        with pytest.raises(ThreadBusy):
            await chat.begin()
        await store.write(lease, [chat.says()])

    async def test_a_lease_that_is_renewed_in_time_is_not_taken(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(seconds=0.2)
        await store.renew([lease], seconds=60)
        await asyncio.sleep(0.3)
        with pytest.raises(ThreadBusy):
            await chat.begin()

    async def test_renewing_tells_exactly_which_are_held(self, store: Store) -> None:
        me = as_user()
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
        leases = [await chat.open(chat.says("opening")) for chat in chats]
        await taken_over(chats[1], leases[1])
        await ended(chats[2], leases[2])
        await store.delete_thread(chats[3].id, chats[3].context)
        for words in ("half", "whole"):
            await store.checkpoint(
                [
                    (lease, [chat.says(words, lease, item_id="msg_1"), chat.hides(lease)], number == 5)
                    for number, (chat, lease) in enumerate(zip(chats, leases, strict=True))
                ]
            )
        for number, expected in enumerate((["opening", "whole"], ["opening"], ["opening"])):
            assert await chats[number].words() == expected
        with pytest.raises(NotFound):
            await chats[3].words()
        assert await chats[4].words() == ["opening", "whole"]
        assert await chats[5].words() == ["opening"]
        await store.end_turn(leases[5])
        assert await chats[5].words() == ["opening", "whole"]
        await store.checkpoint([])
        await store.checkpoint([(leases[0], [], False)])
        await store.write(leases[0], [chats[0].says("last")])
        assert await chats[0].words() == ["opening", "whole", "last"]

    # -- many at once ----------------------------------------------------------------------------------

    async def test_fifty_writers_of_fifty_threads_lose_nothing(self, store: Store) -> None:
        async def talk() -> Chat:
            chat = Chat(store)
            lease = await chat.open(chat.says("0"))
            for number in range(1, 4):
                await store.write(lease, [chat.says(str(number)), chat.hides()])
            await store.end_turn(lease, [chat.says("4")])
            return chat

        for chat in await asyncio.gather(*(talk() for _ in range(50))):
            assert await chat.words() == ["0", "1", "2", "3", "4"]
            assert len(await chat.known()) == 8

    async def test_of_fifty_who_want_one_thread_one_gets_it(self, store: Store) -> None:
        chat = await Chat(store).save()
        results = await asyncio.gather(
            *(chat.begin(chat.says(str(number))) for number in range(50)), return_exceptions=True
        )
        [winner] = [result for result in results if isinstance(result, Lease)]
        assert [type(result) for result in results].count(ThreadBusy) == 49
        assert await chat.words() == [str(results.index(winner))]

    async def test_ten_who_wait_for_one_thread_write_one_after_the_other(self, store: Store) -> None:
        chat = await Chat(store).save()
        fences: list[int] = []

        async def talk(number: int) -> None:
            lease = await chat.take_over()
            fences.append(lease.fence)
            await store.write(lease, [chat.says(f"{number} a"), chat.hides()])
            await store.end_turn(lease, [chat.says(f"{number} b")])

        await asyncio.gather(*(talk(number) for number in range(10)))
        words = await chat.words()
        assert len(words) == 20
        assert [first.split()[0] for first in words[::2]] == [second.split()[0] for second in words[1::2]]
        assert fences == sorted(set(fences))
