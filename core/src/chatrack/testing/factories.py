"""What the tests of the contract are made of: users, threads, items, and ways to look at them."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import pytest
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    FileAttachment,
    SDKHiddenContextItem,
)

from chatrack.clock import now, to_micros
from chatrack.errors import ThreadBusy
from chatrack.ids import new_id
from chatrack.interfaces.context import RequestContext
from chatrack.interfaces.lease import Lease
from chatrack.interfaces.records import ItemRecord, PauseRecord, ThreadRecord, item_to_record
from chatrack.interfaces.store import Store
from chatrack.interfaces.user import User

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
"""When all items were made, unless a test says otherwise: nothing may depend on their times."""

SOON = 0.02
"""Seconds that a lease lasts which is meant to expire."""

PATIENCE = 10.0
"""Seconds after which a test no longer waits for what has to happen."""


def fresh_user() -> User:
    """Make a user whom no other test knows."""
    return User(id=f"user-{secrets.token_hex(8)}", tenant_id=f"tenant-{secrets.token_hex(8)}")


def as_user(user: User | None = None) -> RequestContext:
    """Make the context of a request.

    Args:
        user: who is asking; somebody new if None.
    """
    return RequestContext(user=user or fresh_user(), request_id=new_id("request"))


def message(
    thread_id: str, words: str = "hi", *, item_id: str | None = None, created_at: datetime = MOMENT
) -> AssistantMessageItem:
    """Make an item that the client may see."""
    return AssistantMessageItem(
        id=item_id or new_id("message"),
        thread_id=thread_id,
        created_at=created_at,
        content=[AssistantMessageContent(text=words)],
    )


def file(thread_id: str | None = None, *, attachment_id: str | None = None) -> FileAttachment:
    """Make an attachment."""
    return FileAttachment(
        id=attachment_id or new_id("attachment"),
        name="a.txt",
        mime_type="text/plain",
        thread_id=thread_id,
        metadata={"k": "ü"},
    )


def words_of(record: ItemRecord) -> str:
    """Give what an item says; its type if it is hidden."""
    if record.hidden:
        return record.type
    return "".join(part["text"] for part in msgspec.json.decode(record.data)["content"])


class Chat:
    """One thread of one user.

    Args:
        store: the store under test.
        context: who asks; somebody new if None.
    """

    def __init__(self, store: Store, context: RequestContext | None = None) -> None:
        self.store = store
        self.context = context or as_user()
        self.thread = ThreadRecord(
            id=new_id("thread"), created_at=to_micros(now()), title="T", metadata='{"k":"ü"}'
        )
        self.id = self.thread.id

    async def save(self) -> "Chat":
        """Store the thread, without a turn."""
        await self.store.put_thread(self.thread, self.context)
        return self

    def says(
        self, words: str = "hi", lease: Lease | None = None, *, item_id: str | None = None
    ) -> ItemRecord:
        """Make an item that the client may see, written by the lease's turn."""
        turn_id = None if lease is None else lease.turn_id
        return item_to_record(message(self.id, words, item_id=item_id), turn_id=turn_id)

    def hides(self, lease: Lease | None = None) -> ItemRecord:
        """Make an item that the client never sees."""
        item = SDKHiddenContextItem(
            id=new_id("sdk_hidden_context"), thread_id=self.id, created_at=MOMENT, content="call and result"
        )
        return item_to_record(item, turn_id=None if lease is None else lease.turn_id)

    def waits(self, item: ItemRecord, *, kind: str = "client_tool") -> PauseRecord:
        """Make the note that an item waits for somebody."""
        return PauseRecord(
            thread_id=self.id,
            item_id=item.id,
            turn_id=item.turn_id or "trn_of_nobody",
            kind=kind,
            data='{"k":"ü"}',
            created_at=to_micros(MOMENT),
        )

    # -- turns -----------------------------------------------------------------------------------------

    async def begin(self, *items: ItemRecord, turn_id: str | None = None, **more: Any) -> Lease:
        """Begin a turn in the thread, which is there."""
        more.setdefault("seconds", 60.0)
        return await self.store.begin_turn(
            self.id, self.context, turn_id=turn_id or new_id("turn"), items=items, **more
        )

    async def open(self, *items: ItemRecord, **more: Any) -> Lease:
        """Create the thread with its first turn."""
        return await self.begin(*items, create=self.thread, **more)

    async def die(self, lease: Lease) -> None:
        """Let a turn's lease expire soon, as if its process had died."""
        assert await self.store.renew([lease], seconds=SOON) == {lease.turn_id}

    async def take_over(self, *items: ItemRecord, **more: Any) -> Lease:
        """Begin a turn as soon as the lease of the last one has expired."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return await self.begin(*items, **more)
            except ThreadBusy:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(SOON / 2)

    # -- looking ---------------------------------------------------------------------------------------

    async def shown(self, order: str = "asc") -> list[ItemRecord]:
        """Give what the client sees, all of it."""
        page = await self.store.page_items(self.id, after=None, limit=500, order=order, context=self.context)
        assert not page.has_more
        return page.data

    async def words(self) -> list[str]:
        """Give the words of what the client sees."""
        return [words_of(record) for record in await self.shown()]

    async def known(self, **how: int | None) -> list[str]:
        """Give the words of what the model sees."""
        return [words_of(record) for record in await self.store.load_history(self.id, self.context, **how)]

    async def pauses(self) -> list[PauseRecord]:
        """Give what the thread waits for."""
        return await self.store.load_pauses(self.id, self.context)


class Paged(Protocol):
    """A page of whatever."""

    @property
    def data(self) -> "list[Any]": ...
    @property
    def has_more(self) -> bool: ...
    @property
    def after(self) -> str | None: ...


async def walk(next_page: Callable[[str | None], Awaitable[Paged]], *, limit: int) -> list[str]:
    """Go through all pages and give the ids in them; each page but the last is full.

    Args:
        next_page: loads the page after a cursor.
        limit: how many a page was asked for.
    """
    found: list[str] = []
    after: str | None = None
    while True:
        page = await next_page(after)
        assert len(page.data) <= limit
        found += [record.id for record in page.data]
        if not page.has_more:
            return found
        assert len(page.data) == limit
        after = page.after
        assert after == page.data[-1].id


async def refused(error: type[Exception], *attempts: Coroutine[Any, Any, object]) -> None:
    """See some calls fail as they should.

    Args:
        error: what each of them raises.
        attempts: the calls, not awaited yet.
    """
    waiting = list(attempts)
    try:
        while waiting:
            attempt = waiting.pop(0)
            try:
                given = await attempt
            except error:
                continue
            name = getattr(attempt, "__qualname__", attempt)
            pytest.fail(f"{name} gave {given!r} and did not raise {error.__name__}")
    finally:
        for attempt in waiting:
            attempt.close()
