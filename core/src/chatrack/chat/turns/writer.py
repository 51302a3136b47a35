"""What a turn writes down: every event is stored as far as it has to be, and then sent."""

import asyncio
from collections.abc import Sequence

from chatkit.types import (
    ClientToolCallItem,
    Thread,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
)

from chatrack.chat.turns.channel import EventChannel
from chatrack.chat.turns.draft import ItemDraft
from chatrack.chat.turns.text_delta import TextDelta, encode_delta
from chatrack.clock import as_utc, now, to_micros
from chatrack.errors import LeaseLost
from chatrack.interfaces import ItemRecord, Lease, PauseRecord, Store
from chatrack.interfaces.records import dump, is_hidden, item_to_record

CLIENT_TOOL = "client_tool"
"""The kind of a pause that waits for a tool of the page."""


class TurnWriter:
    """The one writer of a turn's items, and the one sender of its events.

    Args:
        store: where items go.
        lease: the right to write.
        subscriber: where events go.
        uncommitted: whether new items stay invisible until the turn has succeeded (a retry).
    """

    def __init__(self, store: Store, lease: Lease, subscriber: EventChannel, *, uncommitted: bool) -> None:
        self.lease = lease
        self.uncommitted = uncommitted
        self.provider_metadata: dict[str, str] = {}
        """What the provider called the items, by our id, as JSON; put there before the item is done."""
        self.shown: list[str] = []
        """The ids of the turn's own items that the client was shown."""
        self.late: list[ItemRecord] = []
        """In a retry: replacements of older items, which become true when the retry does."""
        self.late_removals: list[str] = []
        """In a retry: older items to be removed then."""
        self.checkpointing: asyncio.Future[None] | None = None
        """Set while a checkpoint of this turn is being written; the turn's own writes come after it."""
        self._store = store
        self._subscriber = subscriber
        self._lock = asyncio.Lock()
        self._inflight: asyncio.Task[None] | None = None
        self._held_back: list[ItemRecord] = []
        self._partials: dict[str, ItemDraft] = {}
        self._hidden: set[str] = set()
        self._mine: set[str] = set()
        self._closed = False

    async def emit(self, event: ThreadStreamEvent | TextDelta) -> None:
        """Store what an event says, then send it: what the client has seen done is in the store.

        Raises:
            LeaseLost: the turn no longer owns the thread, or is over.
        """
        if self._closed:
            raise LeaseLost(f"turn {self.lease.turn_id} is over")
        if isinstance(event, TextDelta):
            self.show(event)
            return
        if isinstance(event, ThreadItemUpdatedEvent):
            partial = self._partials.get(event.item_id)
            if partial is not None:
                partial.apply(event.update)
        elif isinstance(event, ThreadItemAddedEvent):
            event = ThreadItemAddedEvent(item=self.own(event.item))
            self._mine.add(event.item.id)
            self.send(event)  # first: what cannot be encoded must not be followed
            self._partials[event.item.id] = ItemDraft(event.item)
            return
        elif isinstance(event, ThreadItemDoneEvent):
            event = ThreadItemDoneEvent(item=self.own(event.item))
            self._mine.add(event.item.id)
            await self._keep(event.item)
        elif isinstance(event, ThreadItemReplacedEvent):
            event = ThreadItemReplacedEvent(item=self.own(event.item))
            if self._postponed(event.item.id):
                self.late.append(self.record(event.item))
            else:
                await self._keep(event.item)
        elif isinstance(event, ThreadItemRemovedEvent):
            self._partials.pop(event.item_id, None)
            if self._postponed(event.item_id):
                self.late_removals.append(event.item_id)
            else:
                await self._write([], remove=[event.item_id])
        elif isinstance(event, ThreadCreatedEvent | ThreadUpdatedEvent):
            event = event.model_copy(update={"thread": _presentable(event.thread)})
        self.send(event)

    def show(self, piece: TextDelta | None) -> bool:
        """Send a piece of text, and keep it for the next checkpoint.

        Returns:
            Whether there is an item that it belongs to.
        """
        partial = None if piece is None else self._partials.get(piece.item_id)
        if piece is None or partial is None:
            return False
        if piece.text and not self._closed:
            self._subscriber.put(encode_delta(partial.add(piece), piece.text))
        return True

    def send(self, event: ThreadStreamEvent) -> None:
        """Send an event; hidden items never reach the wire."""
        if isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent | ThreadItemReplacedEvent):
            if is_hidden(event.item):
                self._hidden.add(event.item.id)
                return
            if event.item.id in self._mine and event.item.id not in self.shown:
                self.shown.append(event.item.id)
        elif (
            isinstance(event, ThreadItemUpdatedEvent | ThreadItemRemovedEvent)
            and event.item_id in self._hidden
        ):
            return
        self._subscriber.put(b"data: " + dump(event).encode() + b"\n\n")

    async def flush(self) -> None:
        """Store the hidden items that were held back to travel with the next visible one."""
        if self._held_back:
            await self._write([])

    def unsaved(self) -> list[ItemRecord]:
        """Give the half-streamed items that changed since they were last asked for."""
        if self._closed or self._lock.locked() or (self._inflight and not self._inflight.done()):
            return []  # the write may be of the same item, and it knows better
        records = []
        for partial in self._partials.values():
            if partial.dirty and (item := partial.snapshot()) is not None:
                partial.dirty = False
                records.append(self.record(item))
        return records

    def save_again(self) -> None:
        """Take back that half-streamed items were saved: they were not."""
        for partial in self._partials.values():
            partial.dirty = True

    async def close(self) -> None:
        """Accept no more events, and wait for the writes that are on their way."""
        self._closed = True
        for write in (self._inflight, self.checkpointing):
            if write is not None:
                # Its caller may be gone; if it failed because the lease is lost, giving that back will say so.
                await _ended(write)

    def rest(self) -> tuple[list[ItemRecord], list[ThreadItem]]:
        """Give what a closed transcript has not stored: hidden items held back, and half-streamed items."""
        partial = [item for one in self._partials.values() if (item := one.snapshot()) is not None]
        return self._held_back, partial

    def record(self, item: ThreadItem) -> ItemRecord:
        """Give an item as the store keeps it."""
        return item_to_record(
            item, turn_id=self.lease.turn_id, provider_metadata=self.provider_metadata.get(item.id)
        )

    def _postponed(self, item_id: str) -> bool:
        return self.uncommitted and item_id not in self._mine

    async def _keep(self, item: ThreadItem) -> None:
        record = self.record(item)
        if is_hidden(item):
            self._hidden.add(item.id)
            self._held_back.append(record)
        else:
            await self._write([record], pauses=self._waiting(item))

    def _waiting(self, item: ThreadItem) -> list[PauseRecord]:
        """Give what the thread waits for once an item is stored: the page's answer to a call of its tool."""
        if not isinstance(item, ClientToolCallItem) or item.status != "pending":
            return []
        return [
            PauseRecord(
                thread_id=self.lease.thread_id,
                item_id=item.id,
                turn_id=self.lease.turn_id,
                kind=CLIENT_TOOL,
                created_at=to_micros(now()),
            )
        ]

    async def _write(
        self,
        records: list[ItemRecord],
        *,
        remove: Sequence[str] = (),
        pauses: Sequence[PauseRecord] = (),
    ) -> None:
        async with self._lock:
            if self._inflight is not None and not self._inflight.done():
                await _ended(self._inflight)  # of a caller that was cancelled
            # Not interruptible: what a cancelled caller began is finished, and `close` waits for it.
            self._inflight = asyncio.create_task(self._write_now(records, remove, pauses))
            await asyncio.shield(self._inflight)

    async def _write_now(
        self, records: list[ItemRecord], remove: Sequence[str], pauses: Sequence[PauseRecord]
    ) -> None:
        if self.checkpointing is not None:
            await asyncio.wait([self.checkpointing])
        held_back, self._held_back = self._held_back, []
        try:
            await self._store.write(
                self.lease,
                [*held_back, *records],
                remove=remove,
                pauses=pauses,
                uncommitted=self.uncommitted,
            )
        except BaseException:
            self._held_back = [*held_back, *self._held_back]
            raise
        for record in records:
            self._partials.pop(record.id, None)

    def own(self, item: ThreadItem) -> ThreadItem:
        """Give an item as this turn stores it: in its thread, its time in UTC."""
        changes: dict[str, object] = {}
        if item.thread_id != self.lease.thread_id:
            changes["thread_id"] = self.lease.thread_id
        if item.created_at.tzinfo is None or item.created_at.utcoffset():
            changes["created_at"] = as_utc(item.created_at)
        return item.model_copy(update=changes) if changes else item


async def _ended(write: asyncio.Future[None]) -> None:
    """Wait for a write without touching it, and take note of its failure, which nobody else may be there to do."""
    await asyncio.wait([write])
    if not write.cancelled():
        write.exception()


def _presentable(thread: Thread) -> Thread:
    """Give a thread as a client may see it: without metadata and hidden items, its times in UTC."""
    items = thread.items.model_copy(
        update={"data": [item for item in thread.items.data if not is_hidden(item)]}
    )
    changes = {"metadata": {}, "items": items, "created_at": as_utc(thread.created_at)}
    return thread.model_copy(update=changes)
