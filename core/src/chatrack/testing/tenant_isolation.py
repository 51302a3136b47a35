"""What a stranger may try: every method of `Store`, with what belongs to somebody else."""

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
from chatrack.testing.factories import Chat, as_user, file, fresh_user, message

ANYTHING = object()
"""The attempt may succeed or fail, as long as nothing of the owner's changes."""

_NOBODYS = {"start", "stop", "health", "generate_thread_id", "generate_item_id"}
"""Methods that are about nobody's data."""


def owned_methods(store: type[Store] = Store) -> list[str]:
    """Give the names of the interface's methods that are about somebody's data.

    Args:
        store: the interface.
    """
    public = (name for name, _ in inspect.getmembers(store, callable) if not name.startswith("_"))
    return sorted(set(public) - _NOBODYS)


def victim() -> User:
    """Make a user whose ids are easily taken for those of others."""
    token = fresh_user().id
    return User(id=f"Zoé 😀:b/c|d {token}", tenant_id=f"Ä {token}")


def strangers(owner: User) -> dict[str, User]:
    """Make users who are not `owner`, and look so much like it that a store may not see the difference."""
    user, tenant = owner.id, owner.tenant_id
    made = {
        "user": User(id=fresh_user().id, tenant_id=tenant),
        "tenant": User(id=user, tenant_id=fresh_user().tenant_id),
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
    for separator in ":/|":  # of two ids that were joined to one, nobody knows where the first ended
        head, _, tail = user.partition(separator)
        made[f"separator {separator}"] = User(id=tail, tenant_id=f"{tenant}{separator}{head}")
    assert owner not in made.values()
    return made


LOOKS = list(strangers(victim()))
"""In how many ways users look alike."""


class Property:
    """Everything that a user can have in a store.

    Args:
        store: the store under test.
        owner: whose it is.
    """

    def __init__(self, store: Store, owner: User) -> None:
        self.store = store
        self.context = as_user(owner)
        self.chat = Chat(store, self.context)
        self.file, self.loose = file(self.chat.id), file()
        self.turn_id = new_id("turn")
        self.lease = Lease(thread_id=self.chat.id, turn_id=self.turn_id, fence=1, user=owner)
        self.item = self.chat.says("one", self.lease)
        self.waiting = self.chat.says("two", self.lease)
        self.usage = UsageRecord(
            turn_id=self.turn_id, agent="a", model="m", thread_id=self.chat.id, created_at=0
        )

    async def save(self) -> "Property":
        """Store it, in the middle of a turn."""
        for attachment in (self.file.model_copy(update={"thread_id": None}), self.loose):
            await self.store.save_attachment(attachment, self.context)
        self.lease = await self.chat.open(
            self.item, self.chat.hides(), self.waiting, turn_id=self.turn_id, attachments=[self.file]
        )
        await self.store.write(self.lease, pauses=[self.chat.waits(self.waiting)])
        await self.store.save_usage([self.usage], self.context)
        return self

    async def state(self) -> dict[str, object]:
        """Give all that can be seen of it, for comparing."""
        store, thread, mine = self.store, self.chat.id, self.context
        return {
            "thread": await store.load_record(thread, mine),
            "threads": await store.page_threads(after=None, limit=9, order="asc", context=mine),
            "shown": await self.chat.shown(),
            "history": await store.load_history(thread, mine),
            "pauses": await self.chat.pauses(),
            "files": [await store.load_attachment(one.id, mine) for one in (self.file, self.loose)],
            "lease": await store.renew([self.lease], seconds=60),
        }


class Attempt(NamedTuple):
    """One thing that a stranger tries, and what comes of it: an error or a value."""

    call: Callable[[], Awaitable[object]]
    gives: object = NotFound


def attempts(store: Store, his: Property, mine: Chat, lease: Lease) -> dict[str, list[Attempt]]:
    """Make what a stranger tries with each method.

    Args:
        store: the store under test.
        his: what belongs to another.
        mine: the stranger's own thread.
        lease: the stranger's own lease, of that thread.
    """
    me, thread, item = mine.context, his.chat.id, his.item.id
    theirs = his.chat.says("stolen"), msgspec.structs.replace(his.item, data=his.chat.says("stolen").data)
    first: dict[str, Any] = {"after": None, "limit": 9, "order": "asc"}
    after: dict[str, Any] = {**first, "after": item}
    forged = (
        msgspec.structs.replace(his.lease, user=me.user),
        msgspec.structs.replace(lease, thread_id=thread),
    )
    new = Chat(store, me)

    def denied(*calls: Callable[[], Awaitable[object]]) -> list[Attempt]:
        return [Attempt(call) for call in calls]

    def lost(call: Callable[[Lease], Awaitable[object]]) -> list[Attempt]:
        return [Attempt(partial(call, one), LeaseLost) for one in forged]

    async def ids(page: Awaitable[Any]) -> list[str]:
        return [one.id for one in (await page).data]

    def take(loose: bool) -> Awaitable[Lease]:
        attachment = (his.loose if loose else his.file).model_copy(update={"thread_id": new.id})
        return new.open(attachments=[attachment])

    def withdraw(thread_id: str, turn_id: str, *, created: bool) -> Awaitable[bool]:
        return store.withdraw_turn(
            thread_id,
            me,
            turn_id=turn_id,
            created=created,
            items=[item],
            attachments=[his.file, his.loose],
        )

    def items(*records: ItemRecord) -> list[Any]:
        return [record_to_item(record) for record in records]

    return {
        # -- reading
        "load_record": denied(lambda: store.load_record(thread, me)),
        "load_thread": denied(lambda: store.load_thread(thread, me)),
        "page_items": denied(
            lambda: store.page_items(thread, **first, context=me),
            lambda: store.page_items(thread, **after, context=me),
            lambda: store.page_items(mine.id, **after, context=me),
        ),
        "load_thread_items": denied(
            lambda: store.load_thread_items(thread, None, 9, "desc", me),
            lambda: store.load_thread_items(mine.id, item, 9, "desc", me),
        ),
        "thread_with_items": denied(lambda: store.thread_with_items(thread, limit=9, context=me)),
        "page_threads": [
            Attempt(lambda: ids(store.page_threads(**first, context=me)), [mine.id]),
            Attempt(lambda: store.page_threads(after=thread, limit=9, order="asc", context=me)),
        ],
        "load_threads": [
            Attempt(lambda: ids(store.load_threads(9, None, "desc", me)), [mine.id]),
            Attempt(lambda: store.load_threads(9, thread, "desc", me)),
        ],
        "load_item_record": denied(
            lambda: store.load_item_record(thread, item, me),
            lambda: store.load_item_record(mine.id, item, me),
        ),
        "load_item": denied(lambda: store.load_item(thread, item, me)),
        "load_history": denied(lambda: store.load_history(thread, me)),
        "load_pauses": denied(lambda: store.load_pauses(thread, me)),
        "load_attachment": denied(
            lambda: store.load_attachment(his.file.id, me), lambda: store.load_attachment(his.loose.id, me)
        ),
        # -- the turn
        "begin_turn": [
            *denied(
                lambda: store.begin_turn(thread, me, turn_id=new_id("turn"), seconds=5),
                lambda: take(loose=True),
                lambda: take(loose=False),
            ),
            Attempt(
                lambda: store.begin_turn(
                    thread, me, turn_id=new_id("turn"), seconds=5, create=his.chat.thread, items=theirs
                ),
                ANYTHING,
            ),
            *(Attempt(partial(Chat(store, me).open, one), ANYTHING) for one in theirs),
        ],
        "renew": [Attempt(lambda: store.renew(forged, seconds=5), set())],
        "write": [
            *lost(lambda one: store.write(one, theirs)),
            *(Attempt(partial(store.write, lease, [one]), ANYTHING) for one in theirs),
            Attempt(lambda: store.write(lease, pauses=[his.chat.waits(his.waiting, kind="x")]), ANYTHING),
            Attempt(lambda: store.write(lease, remove=[item], resolve=[his.waiting.id]), None),
        ],
        "checkpoint": [
            Attempt(lambda: store.checkpoint([(one, theirs, False) for one in forged]), None),
            *(Attempt(partial(store.checkpoint, [(lease, [one], False)]), ANYTHING) for one in theirs),
        ],
        "end_turn": [
            *lost(lambda one: store.end_turn(one, theirs)),
            *(Attempt(partial(store.end_turn, lease, [one]), ANYTHING) for one in theirs),
            Attempt(lambda: store.end_turn(lease, replace=[item]), ANYTHING),
        ],
        "withdraw_turn": [
            *(
                Attempt(partial(withdraw, thread, his.turn_id, created=created), gives=False)
                for created in (False, True)
            ),
            Attempt(partial(withdraw, mine.id, lease.turn_id, created=False), ANYTHING),
        ],
        "start_history_at": lost(lambda one: store.start_history_at(one, 3)),
        # -- the rest
        "set_title": denied(lambda: store.set_title(thread, "stolen", me)),
        "replace_title": denied(lambda: store.replace_title(thread, "T", "stolen", me)),
        "save_feedback": denied(
            lambda: store.save_feedback(thread, [item], "positive", me),
            lambda: store.save_feedback(mine.id, [item], "positive", me),
        ),
        "put_item": denied(*(partial(store.put_item, one, me) for one in theirs)),
        "add_thread_item": [
            *denied(*(partial(store.add_thread_item, thread, one, me) for one in items(*theirs))),
            Attempt(lambda: store.add_thread_item(mine.id, message(thread, item_id=item), me), ANYTHING),
            Attempt(lambda: store.add_thread_item(thread, message(mine.id, item_id=item), me), ANYTHING),
        ],
        "save_item": [
            *denied(*(partial(store.save_item, thread, one, me) for one in items(*theirs))),
            Attempt(lambda: store.save_item(mine.id, message(thread, item_id=item), me), ANYTHING),
        ],
        "put_thread": denied(lambda: store.put_thread(his.chat.thread, me)),
        "save_thread": denied(lambda: store.save_thread(record_to_thread(his.chat.thread), me)),
        "delete_thread": denied(lambda: store.delete_thread(thread, me)),
        "delete_thread_item": [
            Attempt(lambda: store.delete_thread_item(thread, item, me)),
            Attempt(lambda: store.delete_thread_item(mine.id, item, me), ANYTHING),
        ],
        "save_attachment": denied(
            lambda: store.save_attachment(his.file, me),
            lambda: store.save_attachment(his.loose, me),
            lambda: store.save_attachment(file(thread), me),
        ),
        "delete_attachment": denied(
            lambda: store.delete_attachment(his.file.id, me),
            lambda: store.delete_attachment(his.loose.id, me),
        ),
        "save_usage": [Attempt(lambda: store.save_usage([his.usage], me), ANYTHING)],
    }
