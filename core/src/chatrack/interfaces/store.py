"""What a store owes the server: chatkit's contract, and what a turn needs beyond it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import chatkit.store
from chatkit.store import StoreItemType
from chatkit.types import Attachment, FeedbackKind, Page, ThreadItem, ThreadMetadata

from chatrack.ids import new_id
from chatrack.interfaces.context import RequestContext
from chatrack.interfaces.lease import Lease
from chatrack.interfaces.records import (
    ItemRecord,
    PauseRecord,
    RecordPage,
    ThreadPage,
    ThreadRecord,
    UsageRecord,
    item_to_record,
    record_to_item,
    record_to_thread,
    thread_to_record,
)

if TYPE_CHECKING:
    from chatrack.sql.database import Database


class Store(chatkit.store.Store[RequestContext], ABC):
    """Keeps threads, items, attachments' records and feedback.

    Every method sees only what belongs to the user of its context (or lease), and answers `NotFound` for
    everything else, whether it exists or not. Methods are safe to call concurrently. A write is
    whole or not at all, also when the caller is cancelled. The methods of chatkit's contract that deal in
    items and threads are given here, on top of those that deal in records.
    """

    database: "Database | None" = None
    """The store's own database, if it is one of `chatrack.sql`: plugins keep their tables there too."""

    # -- life ------------------------------------------------------------------------------------------

    @abstractmethod
    async def start(self) -> None:
        """Connect. Called once, before anything else.

        It must not write: `chatrack check` calls it too. A store without `database` creates what it needs in a
        `lifespan`, which is entered next.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Disconnect. Called once, after everything else."""

    @abstractmethod
    async def health(self) -> None:
        """Ask for a sign of life.

        Raises:
            Unavailable: the store cannot be reached.
        """

    # -- reading ---------------------------------------------------------------------------------------

    @abstractmethod
    async def load_record(self, thread_id: str, context: RequestContext) -> ThreadRecord:
        """Load a thread.

        Raises:
            NotFound: there is none of this id that belongs to the user.
        """

    @abstractmethod
    async def page_items(
        self, thread_id: str, *, after: str | None, limit: int, order: str, context: RequestContext
    ) -> RecordPage:
        """Load a page of what the client may see of a thread.

        Hidden items and those of an uncommitted retry are left out by the query, so that a page is full
        unless it is the last; the order is that of the sequence.

        Args:
            thread_id: the thread.
            after: the id of the item before the page, or None for the first.
            limit: how many, at least 1.
            order: `asc` (oldest first) or `desc`.
            context: who is asking.

        Raises:
            NotFound: no such thread, or no such item in it.
        """

    @abstractmethod
    async def thread_with_items(
        self, thread_id: str, *, limit: int, context: RequestContext
    ) -> tuple[ThreadRecord, RecordPage]:
        """Load a thread and its oldest visible items.

        Raises:
            NotFound: no such thread.
        """

    @abstractmethod
    async def page_threads(
        self, *, after: str | None, limit: int, order: str, context: RequestContext
    ) -> ThreadPage:
        """Load a page of the user's threads, by creation.

        Raises:
            NotFound: no such thread to continue after.
        """

    @abstractmethod
    async def load_item_record(self, thread_id: str, item_id: str, context: RequestContext) -> ItemRecord:
        """Load one item, hidden or not.

        Raises:
            NotFound: no such thread or item.
        """

    @abstractmethod
    async def load_history(
        self,
        thread_id: str,
        context: RequestContext,
        *,
        first: int | None = None,
        before: int | None = None,
        budget: int | None = None,
    ) -> list[ItemRecord]:
        """Load what the model may see, oldest first, hidden items included.

        Args:
            thread_id: the thread.
            context: who is asking.
            first: begin at this sequence; at the thread's `history_from` if None.
            before: leave out this sequence and what follows it.
            budget: stop, going back from the newest, when the items' data is longer than so many characters and
                the newest turn is there as a whole; what comes before is neither read nor given.

        Raises:
            NotFound: no such thread.
        """

    @abstractmethod
    async def load_pauses(self, thread_id: str, context: RequestContext) -> list[PauseRecord]:
        """Load what a thread waits for, in the order of its items; those of an uncommitted retry are left out.

        Raises:
            NotFound: no such thread.
        """

    # -- the turn --------------------------------------------------------------------------------------

    @abstractmethod
    async def begin_turn(
        self,
        thread_id: str,
        context: RequestContext,
        *,
        turn_id: str,
        seconds: float,
        create: ThreadRecord | None = None,
        items: Sequence[ItemRecord] = (),
        attachments: Sequence[Attachment] = (),
        after_interruption: Sequence[ItemRecord] = (),
    ) -> Lease:
        """Take the thread for a turn and write its first items, all in one transaction.

        Args:
            thread_id: the thread.
            context: who is asking.
            turn_id: the new turn.
            seconds: how long the lease lasts unless renewed, on the database's clock.
            create: the thread itself, if it is to be created.
            items: what opens the turn.
            attachments: files of the user's that become this thread's.
            after_interruption: written before `items` if the last turn died; if that was a retry, its uncommitted
                items are dropped instead.

        Raises:
            NotFound: no such thread, or an attachment that is unknown or another thread's.
            ThreadBusy: another turn holds it and has not expired.
        """

    @abstractmethod
    async def renew(self, leases: Sequence[Lease], *, seconds: float) -> set[str]:
        """Prolong leases.

        Returns:
            The turn ids of those that are still held.
        """

    @abstractmethod
    async def write(
        self,
        lease: Lease,
        items: Sequence[ItemRecord] = (),
        *,
        remove: Sequence[str] = (),
        pauses: Sequence[PauseRecord] = (),
        resolve: Sequence[str] = (),
        uncommitted: bool = False,
    ) -> None:
        """Add or replace items, and remove some, in one transaction. An item keeps its place when replaced.

        Args:
            lease: the right to do so.
            items: what to add or replace, in order.
            remove: ids of items to remove, with what was said of them; unknown ones are ignored.
            pauses: which of the thread's items wait for somebody from now on.
            resolve: ids of items that wait no longer; unknown ones are ignored.
            uncommitted: new items stay invisible until `end_turn` commits them.

        Raises:
            LeaseLost: the fence is stale; nothing was written.
        """

    @abstractmethod
    async def checkpoint(self, writes: Sequence[tuple[Lease, Sequence[ItemRecord], bool]]) -> None:
        """Write the half-finished items of many turns in one transaction; those of stale fences are skipped.

        Args:
            writes: for each turn its lease, its items and whether they are uncommitted.
        """

    @abstractmethod
    async def end_turn(
        self,
        lease: Lease,
        items: Sequence[ItemRecord] = (),
        *,
        replace: Sequence[str] = (),
        drop: bool = False,
        usage: Sequence[UsageRecord] = (),
    ) -> None:
        """Write the last items, commit or drop the uncommitted ones, and give the thread back, in one transaction.

        Args:
            lease: the right to do so.
            items: what closes the turn.
            replace: ids of the items that the turn's uncommitted ones take the place of.
            drop: remove the turn's uncommitted items instead of committing them.
            usage: what the turn used of which models.

        Raises:
            LeaseLost: the fence is stale; nothing was written.
        """

    @abstractmethod
    async def withdraw_turn(
        self,
        thread_id: str,
        context: RequestContext,
        *,
        turn_id: str,
        created: bool,
        items: Sequence[str] = (),
        attachments: Sequence[Attachment] = (),
    ) -> bool:
        """Undo a `begin_turn` whose outcome is unknown because the connection broke, in one transaction.

        Does nothing if the turn does not hold the thread, whether it never began or has lost the thread. What
        `after_interruption` wrote stays, since it is about the turn before.

        Args:
            thread_id: the thread.
            context: whose it is.
            turn_id: the turn.
            created: whether `begin_turn` was to create the thread, which is then deleted.
            items: ids of the items that opened the turn, to be removed; unknown ones are ignored.
            attachments: the records of the files that became this thread's, which have no thread again. Files that
                another message of the thread has, files of other threads and unknown ones are ignored.

        Returns:
            Whether the turn held the thread.
        """

    @abstractmethod
    async def start_history_at(self, lease: Lease, seq: int) -> None:
        """Note from which sequence on the model is shown the thread."""

    # -- the rest --------------------------------------------------------------------------------------

    @abstractmethod
    async def set_title(self, thread_id: str, title: str, context: RequestContext) -> None:
        """Rename a thread, and touch nothing else of it.

        Raises:
            NotFound: no such thread.
        """

    @abstractmethod
    async def replace_title(self, thread_id: str, old: str | None, new: str, context: RequestContext) -> bool:
        """Rename a thread if it still has the name it had; give whether it was renamed.

        Raises:
            NotFound: no such thread.
        """

    @abstractmethod
    async def save_feedback(
        self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind, context: RequestContext
    ) -> None:
        """Keep what the user thinks of items; the newest opinion of an item counts.

        Raises:
            NotFound: no such thread, or no such item in it; nothing was kept.
        """

    @abstractmethod
    async def save_usage(self, records: Sequence[UsageRecord], context: RequestContext) -> None:
        """Store the usage of models when its turn has ended already; the thread may have been deleted.

        A record replaces the one of the same turn, agent and model.

        Raises:
            NotFound: a turn is someone else's; nothing was stored.
        """

    @abstractmethod
    async def put_item(self, record: ItemRecord, context: RequestContext) -> None:
        """Add or replace one item outside of a turn.

        Raises:
            NotFound: no such thread.
        """

    @abstractmethod
    async def put_thread(self, record: ThreadRecord, context: RequestContext) -> None:
        """Create a thread, or replace its metadata.

        Raises:
            NotFound: the id is someone else's.
        """

    # -- chatkit's contract, in terms of the above ------------------------------------------------------

    def generate_thread_id(self, context: RequestContext) -> str:
        return new_id("thread")

    def generate_item_id(
        self, item_type: StoreItemType, thread: ThreadMetadata, context: RequestContext
    ) -> str:
        return new_id(item_type)

    async def load_thread(self, thread_id: str, context: RequestContext) -> ThreadMetadata:
        return record_to_thread(await self.load_record(thread_id, context))

    async def save_thread(self, thread: ThreadMetadata, context: RequestContext) -> None:
        await self.put_thread(thread_to_record(thread), context)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: RequestContext
    ) -> Page[ThreadItem]:
        page = await self.page_items(thread_id, after=after, limit=limit, order=order, context=context)
        return Page(
            data=[record_to_item(record) for record in page.data], has_more=page.has_more, after=page.after
        )

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: RequestContext
    ) -> Page[ThreadMetadata]:
        page = await self.page_threads(after=after, limit=limit, order=order, context=context)
        return Page(
            data=[record_to_thread(record) for record in page.data], has_more=page.has_more, after=page.after
        )

    async def load_item(self, thread_id: str, item_id: str, context: RequestContext) -> ThreadItem:
        return record_to_item(await self.load_item_record(thread_id, item_id, context))

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: RequestContext) -> None:
        await self.put_item(item_to_record(item), context)

    async def save_item(self, thread_id: str, item: ThreadItem, context: RequestContext) -> None:
        await self.put_item(item_to_record(item), context)
