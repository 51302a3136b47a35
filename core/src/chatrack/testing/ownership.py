"""Contract tests of ownership: no user reads or changes the data of another."""

import msgspec
import pytest

from chatrack.errors import NotFound, RequestError
from chatrack.interfaces.store import Store
from chatrack.interfaces.user import User
from chatrack.testing.factories import Chat, assert_raises, context_of, file, new_user
from chatrack.testing.tenant_isolation import (
    ANYTHING,
    LOOKALIKES,
    Attempt,
    OwnedData,
    ambiguous_user,
    attempts,
    lookalike_users,
    owned_methods,
)


async def outcome_of(attempt: Attempt) -> object:
    """Return the outcome of an attempt: a value or an exception."""
    try:
        return await attempt.call()
    except Exception as error:  # noqa: BLE001  (compared by the caller)
        return error


def matches(outcome: object, expected: object) -> bool:
    """Return whether an outcome is the expected one."""
    if expected is ANYTHING:
        return True
    return isinstance(outcome, expected) if isinstance(expected, type) else outcome == expected


async def attempts_of(store: Store, other: User, owned: OwnedData) -> dict[str, list[Attempt]]:
    """Return the attempts of another user, who has a thread as well."""
    chat = Chat(store, context_of(other))
    # More items than the owner has, so that sequence numbers are not refused by chance.
    lease = await chat.open(*(chat.item(str(number)) for number in range(9)))
    return attempts(store, owned, chat, lease)


class OwnershipContract:
    """Every record belongs to one user."""

    @pytest.mark.parametrize("method", owned_methods())
    async def test_what_is_someone_elses_is_not_found_by(self, store: Store, method: str) -> None:
        owner = ambiguous_user()
        owned = await OwnedData(store, owner).save()
        before = await owned.state()
        for look in ("user", "tenant"):
            tried = await attempts_of(store, lookalike_users(owner)[look], owned)
            assert method in tried, f"no test tries to reach the data of others with Store.{method}"
            # The outcomes have to be those for data that does not exist.
            unknown = await attempts_of(store, new_user(), OwnedData(store, ambiguous_user()))
            for attempt, other in zip(tried[method], unknown[method], strict=True):
                outcome, reference = await outcome_of(attempt), await outcome_of(other)
                assert matches(outcome, attempt.expected), f"another {look}: {method} returned {outcome!r}"
                if isinstance(outcome, RequestError) and isinstance(reference, RequestError):
                    assert (type(outcome), str(outcome), outcome.field) == (
                        type(reference),
                        str(reference),
                        reference.field,
                    )
        assert await owned.state() == before

    @pytest.mark.parametrize("look", LOOKALIKES)
    async def test_users_whose_ids_look_alike_are_different_users(self, store: Store, look: str) -> None:
        owner = ambiguous_user()
        owned = await OwnedData(store, owner).save()
        before = await owned.state()
        for method, tried in (await attempts_of(store, lookalike_users(owner)[look], owned)).items():
            for attempt in tried:
                outcome = await outcome_of(attempt)
                assert matches(outcome, attempt.expected), f"{method} returned {outcome!r}"
        assert await owned.state() == before

    async def test_an_item_of_another_thread_is_not_found_in_this_one(self, store: Store) -> None:
        chat = await Chat(store).save()
        other = await Chat(store, chat.context).save()
        item = other.item("other")
        await store.put_item(item, chat.context)
        await assert_raises(
            NotFound,
            store.load_item_record(chat.id, item.id, chat.context),
            store.page_items(chat.id, after=item.id, limit=5, order="asc", context=chat.context),
            store.save_feedback(chat.id, [item.id], "positive", chat.context),
        )
        lease = await chat.begin()
        await store.write(lease, remove=[item.id], resolve=[item.id])
        await store.end_turn(lease, replace=[item.id])
        assert await other.texts() == ["other"]

    async def test_the_same_item_id_in_two_threads_is_two_items(self, store: Store) -> None:
        mine = await Chat(store).save()
        same, foreign = await Chat(store, mine.context).save(), await Chat(store).save()
        item = mine.item("mine")
        for chat, words in ((mine, "mine"), (same, "my other"), (foreign, "another's")):
            await store.put_item(chat.item(words, item_id=item.id), chat.context)
        assert await mine.texts() == ["mine"]
        assert await same.texts() == ["my other"]
        assert await foreign.texts() == ["another's"]
        await store.delete_thread_item(mine.id, item.id, mine.context)
        assert await same.texts() == ["my other"]

    async def test_ids_that_differ_only_in_case_are_different_ids(self, store: Store) -> None:
        chat = await Chat(store).save()
        for item_id in ("msg_a", "msg_A", "msg_a "):
            await store.put_item(chat.item(item_id, item_id=item_id), chat.context)
        assert await chat.texts() == ["msg_a", "msg_A", "msg_a "]
        with pytest.raises(NotFound):
            await store.load_record(chat.id.upper(), chat.context)

    async def test_an_attachment_is_one_threads_only(self, store: Store) -> None:
        first = Chat(store)
        second, third = Chat(store, first.context), Chat(store, first.context)
        mine = file()
        await store.save_attachment(mine, first.context)

        def of(chat: Chat) -> list[object]:
            return [mine.model_copy(update={"thread_id": chat.id})]

        lease = await first.open(attachments=of(first))
        with pytest.raises(NotFound):
            await second.open(attachments=of(second))
        assert (await store.load_attachment(mine.id, first.context)).thread_id == first.id
        await store.end_turn(lease)
        await first.begin(attachments=of(first))  # a message that quotes it once more
        await third.save()
        with pytest.raises(NotFound):
            await third.begin(attachments=of(third))

    async def test_names_and_roles_of_a_user_make_no_difference(self, store: Store) -> None:
        chat = await Chat(store).save()
        renamed = msgspec.structs.replace(chat.context.user, name="Zoé", roles=frozenset({"admin"}))
        assert await store.load_record(chat.id, context_of(renamed)) == chat.thread
