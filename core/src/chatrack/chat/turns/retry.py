"""A retry: the new answer takes the place of the old one when it is complete, or not at all."""

from collections.abc import Sequence

from chatkit.types import ThreadItem, ThreadItemReplacedEvent

from chatrack.chat.turns.channel import EventChannel
from chatrack.chat.turns.interruption import Interruption
from chatrack.chat.turns.withheld import placeholder_for
from chatrack.chat.turns.writer import TurnWriter
from chatrack.errors import Unavailable
from chatrack.interfaces import ItemRecord, Lease, Store, UsageRecord


class RetryWriter(TurnWriter):
    """Persists a retry: new items stay invisible until the turn commits, which removes the old ones.

    A retry that does not complete leaves nothing behind: the old answer stays, and the client is told to remove
    what it has seen of the new one, if its stream is still open. If a guardrail withholds the message itself, a placeholder
    takes its place.

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
        self._replaced_ids = [record.id for record in replaced]
        self._visible_replaced_ids = [record.id for record in replaced if not record.hidden]
        self._deferred_replacements: list[ItemRecord] = []
        """Items from before the retry that a tool replaced. Applied when the retry commits."""
        self._deferred_removals: list[str] = []
        """Items from before the retry that a tool removed. Applied when the retry commits."""
        self._failure_reported = False
        """Whether the client knows that the retry failed: later attempts only release the lease."""

    async def commit(self, usage: Sequence[UsageRecord]) -> None:
        if self._failure_reported:
            await self.release(usage)
            return
        hidden, items = self._unsaved()
        replacements = [
            record for record in self._deferred_replacements if record.id not in self._replaced_ids
        ]
        try:
            await self._end(
                [*hidden, *map(self.to_record, items), *replacements],
                replace=[*self._replaced_ids, *self._deferred_removals],
                usage=usage,
            )
        except Unavailable:
            self._failure_reported = True
            raise
        self._send_done(items)
        self._send_removed(self._visible_replaced_ids)

    async def abandon(self, reason: Interruption, usage: Sequence[UsageRecord]) -> None:
        await self.release(usage)
        self._send_removed(self.visible_item_ids)

    async def withhold(
        self, refusal: str | None, sent: ThreadItem | None, usage: Sequence[UsageRecord]
    ) -> None:
        if sent is None:
            await self.abandon("withheld", usage)
            return
        # The message has an answer, which stays: it cannot be removed from before it.
        placeholder = placeholder_for(sent)
        await self._end([self.to_record(placeholder)], drop=True, usage=usage)
        self._send_removed(self.visible_item_ids)
        self.send(ThreadItemReplacedEvent(item=placeholder))

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
