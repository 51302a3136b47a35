"""Stores what a turn's events report, and sends them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from chatkit.types import (
    ClientToolCallItem,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemReplacedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    ThreadUpdatedEvent,
    UserMessageItem,
)

from chatrack.chat.turns.channel import EventChannel
from chatrack.chat.turns.draft import ItemDraft
from chatrack.chat.turns.interruption import Interruption, interruption_marker
from chatrack.chat.turns.text_delta import TextDelta
from chatrack.chat.turns.wire import encode_event, visible_thread
from chatrack.chat.turns.withheld import placeholder_for, refusal_message
from chatrack.clock import as_utc, now, to_micros
from chatrack.errors import LeaseLost
from chatrack.interfaces import ItemRecord, Lease, PauseRecord, Store, UsageRecord
from chatrack.interfaces.records import is_hidden, item_to_record

CLIENT_TOOL = "client_tool"
"""The kind of a pause that waits for a client tool."""


class TurnWriter:
    """The only writer of a turn's items, and the only sender of its events.

    Args:
        store: where items are stored.
        lease: the right to write.
        channel: where events are sent.
    """

    uncommitted = False
    """Whether new items stay invisible until the turn commits."""
    add_urls: Callable[[bytes], bytes] = bytes  # puts the URLs of files into the JSON of an event

    def __init__(self, store: Store, lease: Lease, channel: EventChannel) -> None:
        self.lease = lease
        self.provider_metadata: dict[str, str] = {}
        """The provider's ids of items, by our id, as JSON; set before the item is done."""
        self.visible_item_ids: list[str] = []
        """The turn's own items that the client has seen."""
        self.checkpointing: asyncio.Future[None] | None = None
        """Set while a checkpoint of this turn is being stored; the turn's own writes wait for it."""
        self._store = store
        self._channel = channel
        self._lock = asyncio.Lock()
        self._inflight: asyncio.Task[None] | None = None
        self._pending_hidden: list[ItemRecord] = []
        """Hidden items that are stored together with the next visible one."""
        self.drafts: dict[str, ItemDraft] = {}
        """The items that are being streamed, by id."""
        self._hidden_item_ids: set[str] = set()
        self._turn_item_ids: set[str] = set()
        self._closed = False

    # -- while the turn runs -------------------------------------------------------------------------------

    async def emit(self, event: ThreadStreamEvent | TextDelta) -> None:
        """Send an event. Items that are done, replaced or removed are stored first, hidden ones with the next write.

        Added items and text are sent at once; checkpoints store them.

        Raises:
            LeaseLost: the turn no longer owns the thread, or is over.
        """
        if self._closed:
            raise LeaseLost(f"turn {self.lease.turn_id} is over")
        if isinstance(event, TextDelta):
            self.send_delta(event)
            return
        if isinstance(event, ThreadItemUpdatedEvent):
            draft = self.drafts.get(event.item_id)
            if draft is not None:
                draft.apply(event.update)
        elif isinstance(event, ThreadItemAddedEvent):
            event = ThreadItemAddedEvent(item=self.normalize_item(event.item))
            self._turn_item_ids.add(event.item.id)
            self.send(event)  # first: an item that cannot be encoded gets no draft
            self.drafts[event.item.id] = ItemDraft(event.item)
            return
        elif isinstance(event, ThreadItemDoneEvent):
            event = ThreadItemDoneEvent(item=self.normalize_item(event.item))
            self._turn_item_ids.add(event.item.id)
            await self._persist(event.item)
        elif isinstance(event, ThreadItemReplacedEvent):
            event = ThreadItemReplacedEvent(item=self.normalize_item(event.item))
            await self._replace(event.item)
        elif isinstance(event, ThreadItemRemovedEvent):
            self.drafts.pop(event.item_id, None)
            await self._remove(event.item_id)
        elif isinstance(event, ThreadCreatedEvent | ThreadUpdatedEvent):
            event = event.model_copy(update={"thread": visible_thread(event.thread)})
        self.send(event)

    def send_delta(self, delta: TextDelta | None) -> bool:
        """Send streamed text, and keep it for the next checkpoint. A closed writer ignores it.

        Returns:
            Whether the text belongs to an item that is being streamed; False for None.
        """
        draft = None if delta is None else self.drafts.get(delta.item_id)
        if delta is not None and draft is not None and delta.text and not self._closed:
            self._channel.put(draft.append(delta))
        return draft is not None

    def send(self, event: ThreadStreamEvent) -> None:
        """Send an event without storing anything; events of hidden items are never sent."""
        if isinstance(event, ThreadItemAddedEvent | ThreadItemDoneEvent | ThreadItemReplacedEvent):
            item_id = event.item.id
            if is_hidden(event.item):
                self._hidden_item_ids.add(item_id)
                return
            if item_id in self._turn_item_ids and item_id not in self.visible_item_ids:
                self.visible_item_ids.append(item_id)
        elif (
            isinstance(event, ThreadItemUpdatedEvent | ThreadItemRemovedEvent)
            and event.item_id in self._hidden_item_ids
        ):
            return
        self._channel.put(encode_event(event, self.add_urls))

    async def store_user_input(self, item: ThreadItem) -> None:
        """Store an item that the user has just completed, and end the pause that waited for it.

        Raises:
            LeaseLost: the turn no longer owns the thread.
        """
        record = item_to_record(item, turn_id=self.lease.turn_id)
        await self._store.write(self.lease, [record], resolve=[item.id])

    async def flush(self) -> None:
        """Store the hidden items that wait for the next visible one."""
        if self._pending_hidden:
            await self._write([])

    def take_dirty(self) -> list[ItemRecord]:
        """Return the drafts that changed since the last checkpoint, as records, and count them as stored."""
        if self._closed or self._lock.locked() or (self._inflight and not self._inflight.done()):
            return []  # a write in progress may hold the final state of an item
        records = []
        for draft in self.drafts.values():
            if draft.dirty and (item := draft.snapshot()) is not None:
                draft.dirty = False
                records.append(self.to_record(item))
        return records

    def mark_dirty(self) -> None:
        """Have the next checkpoint store all drafts: the last one failed."""
        for draft in self.drafts.values():
            draft.dirty = True

    def to_record(self, item: ThreadItem) -> ItemRecord:
        """Return an item as the store keeps it."""
        return item_to_record(
            item, turn_id=self.lease.turn_id, provider_metadata=self.provider_metadata.get(item.id)
        )

    def normalize_item(self, item: ThreadItem) -> ThreadItem:
        """Return an item with this turn's thread, and its time in UTC."""
        changes: dict[str, object] = {}
        if item.thread_id != self.lease.thread_id:
            changes["thread_id"] = self.lease.thread_id
        if item.created_at.tzinfo is None or item.created_at.utcoffset():
            changes["created_at"] = as_utc(item.created_at)
        return item.model_copy(update=changes) if changes else item

    # -- when it has ended ---------------------------------------------------------------------------------

    def stop(self) -> None:
        """Accept no more events."""
        self._closed = True

    async def close(self) -> None:
        """Accept no more events, and wait for the writes that have begun."""
        self.stop()
        for write in (self._inflight, self.checkpointing):
            if write is not None:
                # Its caller may have been cancelled. A `LeaseLost` is raised again when the turn ends.
                await _wait_quietly(write)

    async def commit(self, usage: Sequence[UsageRecord]) -> None:
        """Store what is left of a completed turn, and release the lease; then send `done` events for the drafts.

        Raises:
            LeaseLost: the turn no longer owns the thread; nothing was stored.
            Unavailable: the database cannot be reached.
        """
        hidden, items = self._unsaved()
        await self._end([*hidden, *map(self.to_record, items)], usage=usage)
        self._send_done(items)

    async def abandon(self, reason: Interruption, usage: Sequence[UsageRecord]) -> None:
        """Store the partial answer of a turn that did not complete, and why; give the thread back.

        Raises:
            LeaseLost: the turn no longer owns the thread; nothing was stored.
            Unavailable: the database cannot be reached.
        """
        hidden, items = self._unsaved()
        marker = interruption_marker(reason, thread_id=self.lease.thread_id, turn_id=self.lease.turn_id)
        await self._end([*hidden, *map(self.to_record, items), marker], usage=usage)
        self._send_done(items)

    async def withhold(
        self, refusal: str | None, sent: ThreadItem | None, usage: Sequence[UsageRecord]
    ) -> None:
        """Remove everything that the turn has produced, and release the lease; then tell the client.

        Args:
            refusal: a sentence to store as the assistant's answer; None for nothing.
            sent: what the user sent, if it must not stay either. A message is removed; if there is a refusal, and for
                everything else, a placeholder takes its place.
            usage: the model usage of the turn.

        Raises:
            LeaseLost: the turn no longer owns the thread; nothing was stored.
            Unavailable: the database cannot be reached.
        """
        thread_id, turn_id = self.lease.thread_id, self.lease.turn_id
        answer = None if refusal is None else refusal_message(refusal, thread_id=thread_id)
        removed = []
        kept = []
        if isinstance(sent, UserMessageItem) and answer is None:
            removed = [sent.id]
        elif sent is not None:
            kept = [placeholder_for(sent)]
        records = [self.to_record(item) for item in ([*kept, answer] if answer is not None else kept)]
        if not removed and answer is None:
            records.append(interruption_marker("withheld", thread_id=thread_id, turn_id=turn_id))
        await self._end(records, replace=[*self._turn_item_ids, *removed], usage=usage)
        self._send_removed([*self.visible_item_ids, *removed])
        for item in kept:
            self.send(ThreadItemReplacedEvent(item=item))
        if answer is not None:
            self.send(ThreadItemDoneEvent(item=answer))

    async def release(self, usage: Sequence[UsageRecord] = ()) -> None:
        """Release the thread without storing what is left of the turn.

        Raises:
            LeaseLost: the turn no longer owns the thread.
            Unavailable: the database cannot be reached.
        """
        await self._end(usage=usage)

    async def _end(
        self,
        items: Sequence[ItemRecord] = (),
        *,
        replace: Sequence[str] = (),
        drop: bool = False,
        usage: Sequence[UsageRecord] = (),
    ) -> None:
        await self._store.end_turn(self.lease, items, replace=replace, drop=drop, usage=usage)

    def _unsaved(self) -> tuple[list[ItemRecord], list[ThreadItem]]:
        """Return what a closed writer has not stored: pending hidden items, and drafts."""
        drafts = [item for draft in self.drafts.values() if (item := draft.snapshot()) is not None]
        return self._pending_hidden, drafts

    def _send_done(self, items: Iterable[ThreadItem]) -> None:
        for item in items:
            self.send(ThreadItemDoneEvent(item=item))

    def _send_removed(self, item_ids: Iterable[str]) -> None:
        for item_id in item_ids:
            self.send(ThreadItemRemovedEvent(item_id=item_id))

    # -- storing -------------------------------------------------------------------------------------------

    async def _persist(self, item: ThreadItem) -> None:
        record = self.to_record(item)
        if is_hidden(item):
            self._hidden_item_ids.add(item.id)
            self._pending_hidden.append(record)
        else:
            await self._write([record], pauses=self._pauses_for(item))

    async def _replace(self, item: ThreadItem) -> None:
        await self._persist(item)

    async def _remove(self, item_id: str) -> None:
        await self._write([], remove=[item_id])

    def _pauses_for(self, item: ThreadItem) -> list[PauseRecord]:
        """Return what the thread waits for once an item is stored: the output of a client tool."""
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
                await _wait_quietly(self._inflight)  # its caller was cancelled
            # Shielded: a write that a cancelled caller began is finished, and `close` waits for it.
            self._inflight = asyncio.create_task(self._write_now(records, remove, pauses))
            await asyncio.shield(self._inflight)

    async def _write_now(
        self, records: list[ItemRecord], remove: Sequence[str], pauses: Sequence[PauseRecord]
    ) -> None:
        if self.checkpointing is not None:
            await asyncio.wait([self.checkpointing])
        hidden, self._pending_hidden = self._pending_hidden, []
        try:
            await self._store.write(
                self.lease,
                [*hidden, *records],
                remove=remove,
                pauses=pauses,
                uncommitted=self.uncommitted,
            )
        except BaseException:
            self._pending_hidden = [*hidden, *self._pending_hidden]
            raise
        for record in records:
            self.drafts.pop(record.id, None)


async def _wait_quietly(write: asyncio.Future[None]) -> None:
    """Wait for a write without cancelling it or raising its error; retrieve the error, or asyncio logs it."""
    await asyncio.wait([write])
    if not write.cancelled():
        write.exception()
