"""Attempts to reach the data of another user, with every method of `Store`."""

import inspect
import unicodedata
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from chatrack.errors import LeaseLost, NotFound
from chatrack.ids import new_id
from chatrack.interfaces.lease import Lease
from chatrack.interfaces.records import ItemRecord, UsageRecord, record_to_item, record_to_thread
from chatrack.interfaces.store import Store
from chatrack.interfaces.user import User
from chatrack.testing.factories import Chat, context_of, file, message, new_user

ANYTHING = object()
"""The attempt may succeed or fail, as long as the owner's data does not change."""

_WITHOUT_OWNER = {
    "start",
    "stop",
    "health",
    "generate_thread_id",
    "generate_item_id",
    "delete_unused_attachments",
    "deleted_files",
    "forget_deleted_files",
    "installation_id",
}
"""Methods that do not concern the data of a user."""


def owned_methods(store: type[Store] = Store) -> list[str]:
    """Return the names of the methods that concern the data of a user.

    Args:
        store: the interface.
    """
    public = (name for name, _ in inspect.getmembers(store, callable) if not name.startswith("_"))
    return sorted(set(public) - _WITHOUT_OWNER)


def ambiguous_user() -> User:
    """Return a user whose ids are easily confused with other ids."""
    token = new_user().id
    return User(id=f"Zoé 😀:b/c|d {token}", tenant_id=f"Ä {token}")


def lookalike_users(owner: User) -> dict[str, User]:
    """Return users other than `owner` whose ids a store may confuse with the owner's."""
    user, tenant = owner.id, owner.tenant_id
    found = {
        "user": User(id=new_user().id, tenant_id=tenant),
        "tenant": User(id=user, tenant_id=new_user().tenant_id),
        "exchanged": User(id=tenant, tenant_id=user),
        "upper case": User(id=user.replace("user", "USER"), tenant_id=tenant),
        "tenant in upper case": User(id=user, tenant_id=tenant.replace("user", "USER")),
        "upper case beyond ASCII": User(id=user.replace("é", "É"), tenant_id=tenant),
        "trailing space": User(id=f"{user} ", tenant_id=tenant),
        "tenant with trailing space": User(id=user, tenant_id=f"{tenant} "),
        "normalisation": User(id=unicodedata.normalize("NFD", user), tenant_id=tenant),
        "accent": User(id=user.replace("é", "e"), tenant_id=tenant),
        "emoji": User(id=user.replace("😀", "😁"), tenant_id=tenant),
        "wildcard": User(id="%", tenant_id=tenant),
    }
    for separator in ":/|":  # two ids that are joined with a separator are ambiguous
        head, _, tail = user.partition(separator)
        found[f"separator {separator}"] = User(id=tail, tenant_id=f"{tenant}{separator}{head}")
    assert owner not in found.values()
    return found


LOOKALIKES = list(lookalike_users(ambiguous_user()))
"""The ways in which ids may be confused."""


class OwnedData:
    """Data of every kind, owned by one user.

    Args:
        store: the store under test.
        owner: the user.
    """

    def __init__(self, store: Store, owner: User) -> None:
        self.store = store
        self.context = context_of(owner)
        self.chat = Chat(store, self.context)
        self.file, self.loose = file(self.chat.id), file()
        self.turn_id = new_id("turn")
        self.lease = Lease(thread_id=self.chat.id, turn_id=self.turn_id, fence=1, user=owner)
        self.item = self.chat.item("one", self.lease)
        self.waiting = self.chat.item("two", self.lease)
        self.usage = UsageRecord(
            turn_id=self.turn_id, agent="a", model="m", thread_id=self.chat.id, input_tokens=1, created_at=0
        )

    async def save(self) -> "OwnedData":
        """Store the data, in the middle of a turn."""
        for attachment in (self.file.model_copy(update={"thread_id": None}), self.loose):
            await self.store.save_attachment(attachment, self.context)
        self.lease = await self.chat.open(
            self.item, self.chat.hidden_item(), self.waiting, turn_id=self.turn_id, attachments=[self.file]
        )
        await self.store.write(self.lease, pauses=[self.chat.pause(self.waiting)])
        await self.store.save_usage([self.usage], self.context)
        return self

    async def state(self) -> dict[str, object]:
        """Return everything that the owner can load, for comparison."""
        store, thread, mine = self.store, self.chat.id, self.context
        return {
            "thread": await store.load_record(thread, mine),
            "threads": await store.page_threads(after=None, limit=9, order="asc", context=mine),
            "visible": await self.chat.visible_items(),
            "history": await store.load_history(thread, mine),
            "pauses": await self.chat.pauses(),
            "files": [
                await store.load_attachment(attachment.id, mine) for attachment in (self.file, self.loose)
            ],
            "lease": await store.renew([self.lease], seconds=60),
        }


class Attempt(NamedTuple):
    """A call by another user, and its expected outcome: an exception type or a value."""

    call: Callable[[], Awaitable[object]]
    expected: object = NotFound


def attempts(store: Store, owned: OwnedData, mine: Chat, lease: Lease) -> dict[str, list[Attempt]]:
    """Return the attempts of another user, by method.

    Args:
        store: the store under test.
        owned: the data of the owner.
        mine: the other user's own thread.
        lease: the other user's own lease, of that thread.
    """
    me, thread, item = mine.context, owned.chat.id, owned.item.id
    theirs = (
        owned.chat.item("stolen"),
        msgspec.structs.replace(owned.item, data=owned.chat.item("stolen").data),
    )
    first: dict[str, Any] = {"after": None, "limit": 9, "order": "asc"}
    after: dict[str, Any] = {**first, "after": item}
    forged = (
        msgspec.structs.replace(owned.lease, user=me.user),
        msgspec.structs.replace(lease, thread_id=thread),
    )
    new = Chat(store, me)

    def not_found(*calls: Callable[[], Awaitable[object]]) -> list[Attempt]:
        return [Attempt(call) for call in calls]

    def lease_lost(call: Callable[[Lease], Awaitable[object]]) -> list[Attempt]:
        return [Attempt(partial(call, bad), LeaseLost) for bad in forged]

    async def ids(page: Awaitable[Any]) -> list[str]:
        return [record.id for record in (await page).data]

    def take(loose: bool) -> Awaitable[Lease]:
        attachment = (owned.loose if loose else owned.file).model_copy(update={"thread_id": new.id})
        return new.open(attachments=[attachment])

    def withdraw(thread_id: str, turn_id: str, *, created: bool) -> Awaitable[bool]:
        return store.withdraw_turn(
            thread_id,
            me,
            turn_id=turn_id,
            created=created,
            items=[item],
            attachments=[owned.file, owned.loose],
        )

    def items(*records: ItemRecord) -> list[Any]:
        return [record_to_item(record) for record in records]

    return {
        # -- reading
        "load_record": not_found(lambda: store.load_record(thread, me)),
        "load_thread": not_found(lambda: store.load_thread(thread, me)),
        "page_items": not_found(
            lambda: store.page_items(thread, **first, context=me),
            lambda: store.page_items(thread, **after, context=me),
            lambda: store.page_items(mine.id, **after, context=me),
        ),
        "load_thread_items": not_found(
            lambda: store.load_thread_items(thread, None, 9, "desc", me),
            lambda: store.load_thread_items(mine.id, item, 9, "desc", me),
        ),
        "thread_with_items": not_found(lambda: store.thread_with_items(thread, limit=9, context=me)),
        "page_threads": [
            Attempt(lambda: ids(store.page_threads(**first, context=me)), [mine.id]),
            Attempt(lambda: store.page_threads(after=thread, limit=9, order="asc", context=me)),
        ],
        "load_threads": [
            Attempt(lambda: ids(store.load_threads(9, None, "desc", me)), [mine.id]),
            Attempt(lambda: store.load_threads(9, thread, "desc", me)),
        ],
        "load_item_record": not_found(
            lambda: store.load_item_record(thread, item, me),
            lambda: store.load_item_record(mine.id, item, me),
        ),
        "load_item": not_found(lambda: store.load_item(thread, item, me)),
        "load_history": not_found(lambda: store.load_history(thread, me)),
        "load_pauses": not_found(lambda: store.load_pauses(thread, me)),
        "load_attachment": not_found(
            lambda: store.load_attachment(owned.file.id, me),
            lambda: store.load_attachment(owned.loose.id, me),
        ),
        # -- the turn
        "begin_turn": [
            *not_found(
                lambda: store.begin_turn(thread, me, turn_id=new_id("turn"), seconds=5),
                lambda: take(loose=True),
                lambda: take(loose=False),
            ),
            Attempt(
                lambda: store.begin_turn(
                    thread, me, turn_id=new_id("turn"), seconds=5, create=owned.chat.thread, items=theirs
                ),
                ANYTHING,
            ),
            *(Attempt(partial(Chat(store, me).open, record), ANYTHING) for record in theirs),
        ],
        "renew": [Attempt(lambda: store.renew(forged, seconds=5), set())],
        "write": [
            *lease_lost(lambda bad: store.write(bad, theirs)),
            *(Attempt(partial(store.write, lease, [record]), ANYTHING) for record in theirs),
            Attempt(lambda: store.write(lease, pauses=[owned.chat.pause(owned.waiting, kind="x")]), ANYTHING),
            Attempt(lambda: store.write(lease, remove=[item], resolve=[owned.waiting.id]), None),
        ],
        "checkpoint": [
            Attempt(lambda: store.checkpoint([(bad, theirs, False) for bad in forged]), None),
            *(Attempt(partial(store.checkpoint, [(lease, [record], False)]), ANYTHING) for record in theirs),
        ],
        "end_turn": [
            *lease_lost(lambda bad: store.end_turn(bad, theirs)),
            *(Attempt(partial(store.end_turn, lease, [record]), ANYTHING) for record in theirs),
            Attempt(lambda: store.end_turn(lease, replace=[item]), ANYTHING),
        ],
        "withdraw_turn": [
            *(
                Attempt(partial(withdraw, thread, owned.turn_id, created=created), expected=False)
                for created in (False, True)
            ),
            Attempt(partial(withdraw, mine.id, lease.turn_id, created=False), ANYTHING),
        ],
        "start_history_at": lease_lost(lambda bad: store.start_history_at(bad, 3)),
        # -- the rest
        "set_title": not_found(lambda: store.set_title(thread, "stolen", me)),
        "replace_title": not_found(lambda: store.replace_title(thread, "T", "stolen", me)),
        "save_feedback": not_found(
            lambda: store.save_feedback(thread, [item], "positive", me),
            lambda: store.save_feedback(mine.id, [item], "positive", me),
        ),
        "put_item": not_found(*(partial(store.put_item, record, me) for record in theirs)),
        "add_thread_item": [
            *not_found(*(partial(store.add_thread_item, thread, each, me) for each in items(*theirs))),
            Attempt(lambda: store.add_thread_item(mine.id, message(thread, item_id=item), me), ANYTHING),
            Attempt(lambda: store.add_thread_item(thread, message(mine.id, item_id=item), me), ANYTHING),
        ],
        "save_item": [
            *not_found(*(partial(store.save_item, thread, each, me) for each in items(*theirs))),
            Attempt(lambda: store.save_item(mine.id, message(thread, item_id=item), me), ANYTHING),
        ],
        "put_thread": not_found(lambda: store.put_thread(owned.chat.thread, me)),
        "save_thread": not_found(lambda: store.save_thread(record_to_thread(owned.chat.thread), me)),
        "delete_thread": not_found(lambda: store.delete_thread(thread, me)),
        "delete_thread_item": [
            Attempt(lambda: store.delete_thread_item(thread, item, me)),
            Attempt(lambda: store.delete_thread_item(mine.id, item, me), ANYTHING),
        ],
        "save_attachment": not_found(
            lambda: store.save_attachment(owned.file, me),
            lambda: store.save_attachment(owned.loose, me),
            lambda: store.save_attachment(file(thread), me),
        ),
        "delete_attachment": not_found(
            lambda: store.delete_attachment(owned.file.id, me),
            lambda: store.delete_attachment(owned.loose.id, me),
        ),
        "tokens_used": [
            Attempt(lambda: store.tokens_used(me, since=0), 0),
            Attempt(lambda: store.tokens_used(context_of(new_user()), since=0, whole_tenant=True), 0),
        ],
        "save_usage": [Attempt(lambda: store.save_usage([owned.usage], me), ANYTHING)],
    }
