"""Nobody sees or touches what belongs to another."""

import msgspec
import pytest

from chatrack.errors import NotFound, RequestError
from chatrack.interfaces.store import Store
from chatrack.interfaces.user import User
from chatrack.testing.factories import Chat, as_user, file, fresh_user, refused
from chatrack.testing.tenant_isolation import (
    ANYTHING,
    LOOKS,
    Attempt,
    Property,
    attempts,
    owned_methods,
    strangers,
    victim,
)


async def told(attempt: Attempt) -> object:
    """Give what a stranger is told: a value or an exception."""
    try:
        return await attempt.call()
    except Exception as error:  # noqa: BLE001  (whether it is the right one, the caller asks)
        return error


def agrees(given: object, expected: object) -> bool:
    """Tell whether a stranger was told what it should be."""
    if expected is ANYTHING:
        return True
    return isinstance(given, expected) if isinstance(expected, type) else given == expected


async def attempts_of(store: Store, stranger: User, his: Property) -> dict[str, list[Attempt]]:
    """Make the attempts of a stranger who has a thread as well."""
    chat = Chat(store, as_user(stranger))
    # More of it than the owner has: a store that numbers items shall not refuse a number by chance.
    lease = await chat.open(*(chat.says(str(number)) for number in range(9)))
    return attempts(store, his, chat, lease)


class OwnershipContract:
    """Every row is somebody's."""

    @pytest.mark.parametrize("method", owned_methods())
    async def test_what_is_someone_elses_is_not_found_by(self, store: Store, method: str) -> None:
        owner = victim()
        his = await Property(store, owner).save()
        before = await his.state()
        for look in ("user", "tenant"):
            tried = await attempts_of(store, strangers(owner)[look], his)
            assert method in tried, f"nobody has tried to reach the data of others by Store.{method}"
            # What has never been there: the answers have to be the same.
            unknown = await attempts_of(store, fresh_user(), Property(store, victim()))
            for attempt, other in zip(tried[method], unknown[method], strict=True):
                given, reference = await told(attempt), await told(other)
                assert agrees(given, attempt.gives), f"another {look}: {method} gave {given!r}"
                if isinstance(given, RequestError) and isinstance(reference, RequestError):
                    assert (type(given), str(given), given.field) == (
                        type(reference),
                        str(reference),
                        reference.field,
                    )
        assert await his.state() == before

    @pytest.mark.parametrize("look", LOOKS)
    async def test_users_whose_ids_look_alike_are_different_users(self, store: Store, look: str) -> None:
        owner = victim()
        his = await Property(store, owner).save()
        before = await his.state()
        for method, tried in (await attempts_of(store, strangers(owner)[look], his)).items():
            for attempt in tried:
                given = await told(attempt)
                assert agrees(given, attempt.gives), f"{method} gave {given!r}"
        assert await his.state() == before

    async def test_an_item_of_another_thread_is_not_found_in_this_one(self, store: Store) -> None:
        one = await Chat(store).save()
        other = await Chat(store, one.context).save()
        item = other.says("other")
        await store.put_item(item, one.context)
        await refused(
            NotFound,
            store.load_item_record(one.id, item.id, one.context),
            store.page_items(one.id, after=item.id, limit=5, order="asc", context=one.context),
            store.save_feedback(one.id, [item.id], "positive", one.context),
        )
        lease = await one.begin()
        await store.write(lease, remove=[item.id], resolve=[item.id])
        await store.end_turn(lease, replace=[item.id])
        assert await other.words() == ["other"]

    async def test_the_same_item_id_in_two_threads_is_two_items(self, store: Store) -> None:
        mine = await Chat(store).save()
        same, foreign = await Chat(store, mine.context).save(), await Chat(store).save()
        item = mine.says("mine")
        for chat, words in ((mine, "mine"), (same, "my other"), (foreign, "another's")):
            await store.put_item(chat.says(words, item_id=item.id), chat.context)
        assert await mine.words() == ["mine"]
        assert await same.words() == ["my other"]
        assert await foreign.words() == ["another's"]
        await store.delete_thread_item(mine.id, item.id, mine.context)
        assert await same.words() == ["my other"]

    async def test_ids_that_differ_only_in_case_are_different_ids(self, store: Store) -> None:
        chat = await Chat(store).save()
        for item_id in ("msg_a", "msg_A", "msg_a "):
            await store.put_item(chat.says(item_id, item_id=item_id), chat.context)
        assert await chat.words() == ["msg_a", "msg_A", "msg_a "]
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
        assert await store.load_record(chat.id, as_user(renamed)) == chat.thread
