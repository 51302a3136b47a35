"""The part of a thread that the model sees: a bounded window that never splits a turn."""

import math
from collections.abc import Sequence
from itertools import groupby

import msgspec
from agents import TResponseInputItem
from chatkit.types import ThreadItem

from chatrack.chat.agents.attachment_parts import AttachmentParts
from chatrack.chat.agents.input_items import to_input_items
from chatrack.chat.turns.session import TurnSession
from chatrack.interfaces import ItemRecord, Store
from chatrack.interfaces.records import item_to_record

CHARACTERS_PER_TOKEN = 4
"""The estimate that token budgets are based on."""

KEEP = 0.6
"""The part of a full window that is kept when it is trimmed, so that the provider's prompt cache stays valid for
several turns."""


def trim_history(records: Sequence[ItemRecord], budget: int, *, keep: float = KEEP) -> list[ItemRecord]:
    """Drop the oldest turns when the window is full. Turns are dropped whole.

    Args:
        records: the thread from the start of the current window on, oldest first.
        budget: tokens, estimated at four characters each.
        keep: how much of the budget the newest turns may fill after trimming.

    Returns:
        All records if they fit the budget; else the newest turns that fit, at least one.
    """
    if count_tokens(records) <= budget:
        return list(records)
    turns = [list(group) for _, group in groupby(records, key=lambda record: record.turn_id)]
    newest: list[ItemRecord] = []
    size = 0
    for turn in reversed(turns):
        size += count_tokens(turn)
        if newest and size > budget * keep:
            break
        newest = [*turn, *newest]
    return newest


def count_tokens(records: Sequence[ItemRecord]) -> int:
    """Estimate the tokens of records."""
    return sum(math.ceil(len(record.data) / CHARACTERS_PER_TOKEN) for record in records)


class ThreadHistory:
    """The history that one turn's model sees. It can be shortened once.

    Args:
        store: where the thread is.
        budget: the size of the window, in tokens.
        session: the turn.
        attachments: reads the files of the thread; None if there are none.
    """

    def __init__(
        self, store: Store, budget: int, session: TurnSession, attachments: AttachmentParts | None = None
    ) -> None:
        self._store = store
        self._attachments = attachments
        self._budget = budget
        self._session = session
        self._records: Sequence[ItemRecord] | None = None
        self._shortened = False

    async def load(self) -> list[TResponseInputItem]:
        """Return the history as input for the Agents SDK."""
        if self._records is None:
            self._records = await self._load_records()
        parts = {} if self._attachments is None else await self._attachments.load(self._records)
        return await to_input_items(self._records, parts)

    def replace(self, item: ThreadItem) -> None:
        """Use another version of an item from now on."""
        data = item_to_record(item).data
        self._records = [
            msgspec.structs.replace(record, data=data) if record.id == item.id else record
            for record in self._records or ()
        ]

    async def shorten(self) -> bool:
        """Drop at least the older half, in whole turns, for this turn and later ones.

        Returns:
            Whether anything was dropped.
        """
        records = self._records or []
        if self._shortened:
            return False
        self._shortened = True
        just_too_small = max(1, count_tokens(records) - 1)
        newest = trim_history(records, just_too_small, keep=0.5)
        if len(newest) == len(records):
            return False
        await self._start_at(newest[0])
        self._records = newest
        return True

    async def _load_records(self) -> Sequence[ItemRecord]:
        end_seq = self._session.request.history_end_seq
        max_characters = self._budget * CHARACTERS_PER_TOKEN
        thread_id, context = self._session.thread_id, self._session.context
        records = await self._store.load_history(thread_id, context, before=end_seq, budget=max_characters)
        before_window = not records
        if before_window:  # the retry of a message from before the window
            records = await self._store.load_history(
                thread_id, context, first=0, before=end_seq, budget=max_characters
            )
        newest = trim_history(records, self._budget)
        if newest and (before_window or newest[0].seq != records[0].seq):
            await self._start_at(newest[0])
        return newest

    async def _start_at(self, record: ItemRecord) -> None:
        await self._store.start_history_at(self._session.writer.lease, record.seq)
