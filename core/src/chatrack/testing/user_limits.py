"""Contract tests of what limits of users are counted from: running turns, and tokens."""

import asyncio
import time

import pytest

from chatrack.errors import NotFound, ThreadBusy, TooManyTurns
from chatrack.ids import new_id
from chatrack.interfaces.records import UsageRecord
from chatrack.interfaces.store import Store
from chatrack.interfaces.user import User
from chatrack.testing.factories import SHORT_LEASE, TIMEOUT, Chat, assert_raises, context_of, new_user


def usage(created_at: int, input_tokens: int | None, output_tokens: int | None) -> UsageRecord:
    """Return the usage of a turn of its own."""
    return UsageRecord(
        turn_id=new_id("turn"),
        agent="a",
        model="m",
        thread_id=new_id("thread"),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        created_at=created_at,
    )


class UserLimitsContract:
    """Turns of a user at the same time, and tokens of users and tenants."""

    async def test_a_turn_beyond_the_limit_stores_nothing(self, store: Store) -> None:
        first = Chat(store)
        second, third = Chat(store, first.context), Chat(store, first.context)
        lease = await first.open(max_turns=1)
        await assert_raises(TooManyTurns, second.open(second.item("refused"), max_turns=1))
        with pytest.raises(NotFound):
            await store.load_record(second.id, second.context)
        await second.open(max_turns=2)
        await third.save()
        await assert_raises(TooManyTurns, third.begin(third.item("refused"), max_turns=2))
        assert await third.texts() == []
        await store.end_turn(lease)
        await third.begin(third.item("let in"), max_turns=2)
        assert await third.texts() == ["let in"]

    async def test_the_turn_before_in_the_same_thread_is_waited_for(self, store: Store) -> None:
        chat = Chat(store)
        lease = await chat.open(max_turns=1)
        await assert_raises(ThreadBusy, chat.begin(max_turns=1))
        await store.end_turn(lease)
        await chat.begin(max_turns=1)

    async def test_turns_whose_process_died_do_not_count_once_they_have_expired(self, store: Store) -> None:
        dead = Chat(store)
        lease = await dead.open()
        other = await Chat(store, dead.context).save()
        await assert_raises(TooManyTurns, other.begin(max_turns=1))
        await dead.expire(lease)

        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                await other.begin(max_turns=1)
                break
            except TooManyTurns:
                assert time.monotonic() < deadline
                await asyncio.sleep(SHORT_LEASE / 2)

    async def test_turns_of_other_users_do_not_count(self, store: Store) -> None:
        mine = Chat(store)
        user = mine.context.user
        for other in (
            User(id=new_user().id, tenant_id=user.tenant_id),
            User(id=user.id, tenant_id=new_user().tenant_id),
        ):
            await Chat(store, context_of(other)).open()
        await mine.open(max_turns=1)

    async def test_tokens_are_counted_for_each_user_and_each_tenant(self, store: Store) -> None:
        mine = context_of()
        colleague = context_of(User(id=new_user().id, tenant_id=mine.user.tenant_id))
        namesake = context_of(User(id=mine.user.id, tenant_id=new_user().tenant_id))
        assert await store.tokens_used(mine, since=0) == 0
        assert await store.tokens_used(mine, since=0, whole_tenant=True) == 0
        await store.save_usage([usage(1000, 3, 4), usage(2000, 50, None), usage(3000, None, None)], mine)
        await store.save_usage([usage(2000, 0, 600)], colleague)
        await store.save_usage([usage(2000, 7000, 0)], namesake)
        assert await store.tokens_used(mine, since=0) == 57
        assert await store.tokens_used(mine, since=1000) == 57
        assert await store.tokens_used(mine, since=1001) == 50
        assert await store.tokens_used(mine, since=2001) == 0
        assert await store.tokens_used(mine, since=0, whole_tenant=True) == 657
        assert await store.tokens_used(colleague, since=1001, whole_tenant=True) == 650
        assert await store.tokens_used(namesake, since=0, whole_tenant=True) == 7000
