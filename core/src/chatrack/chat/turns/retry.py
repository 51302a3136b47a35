"""A retry: the new answer takes the place of the old one when it is complete, or not at all."""

from collections.abc import Sequence

from chatkit.types import ThreadItem, ThreadItemRemovedEvent

from chatrack.chat.turns.channel import EventChannel
from chatrack.chat.turns.interruption import Interruption
from chatrack.chat.turns.writer import TurnWriter
from chatrack.errors import Unavailable
from chatrack.interfaces import ItemRecord, Lease, Store, UsageRecord


class RetryWriter(TurnWriter):
    """Persists a retry: new items stay invisible until the turn commits, which removes the old ones.

    A retry that does not complete leaves nothing behind: the old answer stays, and the client is told to remove
    what it has seen of the new one.

    Args:
        store: where items are stored.
        lease: the right to write.
        channel: where events are sent.
        replaced: the items that the new answer replaces.
    """

    uncommitted = True

    def __init__(
        self, store: Store, lease: Lease, channel: EventChannel, replaced: Sequence[ItemRecord]
    ) -> None:
        super().__init__(store, lease, channel)
        self._replaced = replaced
        self._deferred_replacements: list[ItemRecord] = []
        """Items from before the retry that a tool replaced. Applied when the retry commits."""
        self._deferred_removals: list[str] = []
        """Items from before the retry that a tool removed. Applied when the retry commits."""
        self._failed = False

    async def commit(self, usage: Sequence[UsageRecord]) -> None:
        if self._failed:  # the client has been told so: the old answer stays
            await self.release(usage)
            return
        replaced = [record.id for record in self._replaced]
        hidden, items = self._take_unsaved()
        replacements = [record for record in self._deferred_replacements if record.id not in replaced]
        try:
            await self._end(
                [*hidden, *map(self.to_record, items), *replacements],
                replace=[*replaced, *self._deferred_removals],
                usage=usage,
            )
        except Unavailable:
            self._failed = True
            raise
        self._send_done(items)
        self._emit_removed([record.id for record in self._replaced if not record.hidden])

    async def abandon(self, reason: Interruption, usage: Sequence[UsageRecord]) -> None:
        await self.release(usage)
        self._emit_removed(self.visible_item_ids)

    async def release(self, usage: Sequence[UsageRecord] = ()) -> None:
        await self._end(drop=True, usage=usage)

    async def _replace(self, item: ThreadItem) -> None:
        if item.id in self._turn_item_ids:
            await super()._replace(item)
        else:
            self._deferred_replacements.append(self.to_record(item))

    async def _remove(self, item_id: str) -> None:
        if item_id in self._turn_item_ids:
            await super()._remove(item_id)
        else:
            self._deferred_removals.append(item_id)

    def _emit_removed(self, item_ids: Sequence[str]) -> None:
        for item_id in item_ids:
            self.send(ThreadItemRemovedEvent(item_id=item_id))
