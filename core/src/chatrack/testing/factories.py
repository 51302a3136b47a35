"""Users, threads and items for the contract tests, and helpers to inspect them."""

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
"""The creation time of all items unless a test says otherwise: nothing may depend on it."""

SHORT_LEASE = 0.02
"""Seconds until a lease that is meant to expire does."""

TIMEOUT = 60.0
"""Seconds after which a test stops waiting and fails."""


def new_user() -> User:
    """Return a user that no other test has."""
    return User(id=f"user-{secrets.token_hex(8)}", tenant_id=f"tenant-{secrets.token_hex(8)}")


def context_of(user: User | None = None) -> RequestContext:
    """Return the context of a request.

    Args:
        user: the user; a new one if None.
    """
    return RequestContext(user=user or new_user(), request_id=new_id("request"))


def message(
    thread_id: str, text: str = "hi", *, item_id: str | None = None, created_at: datetime = MOMENT
) -> AssistantMessageItem:
    """Return an item that is visible to the client."""
    return AssistantMessageItem(
        id=item_id or new_id("message"),
        thread_id=thread_id,
        created_at=created_at,
        content=[AssistantMessageContent(text=text)],
    )


def file(thread_id: str | None = None, *, attachment_id: str | None = None) -> FileAttachment:
    """Return an attachment."""
    return FileAttachment(
        id=attachment_id or new_id("attachment"),
        name="a.txt",
        mime_type="text/plain",
        thread_id=thread_id,
        metadata={"k": "ü"},
    )


def text_of(record: ItemRecord) -> str:
    """Return the text of an item; its type if it is hidden."""
    if record.hidden:
        return record.type
    return "".join(part["text"] for part in msgspec.json.decode(record.data)["content"])


class Chat:
    """A thread of one user.

    Args:
        store: the store under test.
        context: the user's requests; a new user's if None.
    """

    def __init__(self, store: Store, context: RequestContext | None = None) -> None:
        self.store = store
        self.context = context or context_of()
        self.thread = ThreadRecord(
            id=new_id("thread"), created_at=to_micros(now()), title="T", metadata='{"k":"ü"}'
        )
        self.id = self.thread.id

    async def save(self) -> "Chat":
        """Store the thread without a turn."""
        await self.store.put_thread(self.thread, self.context)
        return self

    def item(self, text: str = "hi", lease: Lease | None = None, *, item_id: str | None = None) -> ItemRecord:
        """Return an item that is visible to the client, of the lease's turn."""
        turn_id = None if lease is None else lease.turn_id
        return item_to_record(message(self.id, text, item_id=item_id), turn_id=turn_id)

    def hidden_item(self, lease: Lease | None = None) -> ItemRecord:
        """Return an item that is hidden from the client."""
        item = SDKHiddenContextItem(
            id=new_id("sdk_hidden_context"), thread_id=self.id, created_at=MOMENT, content="call and result"
        )
        return item_to_record(item, turn_id=None if lease is None else lease.turn_id)

    def pause(self, item: ItemRecord, *, kind: str = "client_tool") -> PauseRecord:
        """Return a pause that an item causes."""
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
        """Begin a turn in the stored thread."""
        more.setdefault("seconds", 60.0)
        return await self.store.begin_turn(
            self.id, self.context, turn_id=turn_id or new_id("turn"), items=items, **more
        )

    async def open(self, *items: ItemRecord, **more: Any) -> Lease:
        """Create the thread with its first turn."""
        return await self.begin(*items, create=self.thread, **more)

    async def expire(self, lease: Lease) -> None:
        """Let the lease of a turn expire, as if its process had died."""
        assert await self.store.renew([lease], seconds=SHORT_LEASE) == {lease.turn_id}

    async def take_over(self, *items: ItemRecord, **more: Any) -> Lease:
        """Begin a turn as soon as the lease of the last turn has expired."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                return await self.begin(*items, **more)
            except ThreadBusy:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(SHORT_LEASE / 2)

    # -- inspection ---------------------------------------------------------------------------------------

    async def visible_items(self, order: str = "asc") -> list[ItemRecord]:
        """Return all items that are visible to the client."""
        page = await self.store.page_items(self.id, after=None, limit=500, order=order, context=self.context)
        assert not page.has_more
        return page.data

    async def texts(self) -> list[str]:
        """Return the texts of the items that are visible to the client."""
        return [text_of(record) for record in await self.visible_items()]

    async def history_texts(self, **options: int | None) -> list[str]:
        """Return the texts of the items that the model is shown."""
        return [text_of(record) for record in await self.store.load_history(self.id, self.context, **options)]

    async def pauses(self) -> list[PauseRecord]:
        """Return the pauses of the thread."""
        return await self.store.load_pauses(self.id, self.context)


class Paged(Protocol):
    """A page of records."""

    @property
    def data(self) -> "list[Any]": ...
    @property
    def has_more(self) -> bool: ...
    @property
    def after(self) -> str | None: ...


async def collect_ids(next_page: Callable[[str | None], Awaitable[Paged]], *, limit: int) -> list[str]:
    """Load all pages and return the ids in them; every page but the last has to be full.

    Args:
        next_page: loads the page after a cursor.
        limit: the page size.
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


async def assert_raises(error: type[Exception], *attempts: Coroutine[Any, Any, object]) -> None:
    """Assert that each of some calls raises an error.

    Args:
        error: the error.
        attempts: the coroutines of the calls.
    """
    waiting = list(attempts)
    try:
        while waiting:
            attempt = waiting.pop(0)
            try:
                result = await attempt
            except error:
                continue
            name = getattr(attempt, "__qualname__", attempt)
            pytest.fail(f"{name} returned {result!r} and did not raise {error.__name__}")
    finally:
        for attempt in waiting:
            attempt.close()
