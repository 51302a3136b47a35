"""The interface of stores: ChatKit's own, and what turns need beyond it."""

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
    """A store of threads, items, attachment records and feedback.

    Every method sees only the data of the user of its context or lease. It raises `NotFound` for everything else, whether
    it exists or not. Methods may be called concurrently. Each write is one transaction, which is completed or rolled back
    even if the caller is cancelled. The methods of ChatKit's own interface that take items and threads are implemented
    here; they call the ones that take records.
    """

    database: "Database | None" = None
    """The store's database if it is a `chatrack.sql.Database`. Plugins create their tables in it too."""

    # -- start and stop --------------------------------------------------------------------------------

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
        """Check that the store can be reached.

        Raises:
            Unavailable: the store cannot be reached.
        """

    # -- reading ---------------------------------------------------------------------------------------

    @abstractmethod
    async def load_record(self, thread_id: str, context: RequestContext) -> ThreadRecord:
        """Load a thread.

        Raises:
            NotFound: no such thread.
        """

    @abstractmethod
    async def page_items(
        self, thread_id: str, *, after: str | None, limit: int, order: str, context: RequestContext
    ) -> RecordPage:
        """Load a page of the items that the client may see, in the order of their `seq`.

        The query leaves out hidden items and those of an uncommitted retry, so that every page but the last is full.

        Args:
            thread_id: the thread.
            after: the id of the item before the page; None for the first page.
            limit: the size of the page, at least 1.
            order: `asc` (oldest first) or `desc`.
            context: the request.

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
        """Load a page of the user's threads, in the order of their creation.

        Raises:
            NotFound: the thread `after` does not exist.
        """

    @abstractmethod
    async def load_item_record(self, thread_id: str, item_id: str, context: RequestContext) -> ItemRecord:
        """Load an item, hidden or not.

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
        """Load the items for the model's input, oldest first, including hidden items.

        Args:
            thread_id: the thread.
            context: the request.
            first: the `seq` of the first item; the thread's `history_from` if None.
            before: the `seq` after the last item; all items if None.
            budget: characters of `data` after which older items are left out and not read. The newest turn is always
                loaded as a whole.

        Raises:
            NotFound: no such thread.
        """

    @abstractmethod
    async def load_pauses(self, thread_id: str, context: RequestContext) -> list[PauseRecord]:
        """Load the pauses of a thread, in the order of its items, without those of an uncommitted retry.

        Raises:
            NotFound: no such thread.
        """

    # -- turns -----------------------------------------------------------------------------------------

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
        max_turns: int | None = None,
    ) -> Lease:
        """Acquire the lease of a thread for a turn and write the turn's first items, in one transaction.

        Args:
            thread_id: the thread.
            context: the request.
            turn_id: the new turn.
            seconds: the time until the lease expires unless it is renewed, on the database's clock.
            create: the thread, if it is to be created.
            items: the first items of the turn.
            attachments: attachments of the user that are moved to this thread.
            after_interruption: items to write before `items` if the previous turn died. If that was a retry, its
                uncommitted items are dropped instead.
            max_turns: how many threads of the user may have a turn at the same time: leases that are held and have not
                expired, this one too. Transactions that begin at the same time need not see each other. None for any number.

        Raises:
            NotFound: no such thread; or an attachment does not exist or belongs to another thread.
            ThreadBusy: another turn holds the lease, and it has not expired.
            TooManyTurns: `max_turns` other threads of the user have a turn; nothing was stored.
        """

    @abstractmethod
    async def renew(self, leases: Sequence[Lease], *, seconds: float) -> set[str]:
        """Renew leases.

        Returns:
            The ids of the turns that still hold their leases.
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
        """Add, replace and remove items in one transaction. A replaced item keeps its `seq`.

        Args:
            lease: the turn's lease.
            items: the items to add or replace, in order.
            remove: the ids of items to remove, with their feedback; unknown ids are ignored.
            pauses: the pauses to add.
            resolve: the ids of items whose pauses are removed; unknown ids are ignored.
            uncommitted: whether new items stay invisible until `end_turn` commits them.

        Raises:
            LeaseLost: another turn has a larger fence, or the thread was deleted; nothing was written.
        """

    @abstractmethod
    async def checkpoint(self, writes: Sequence[tuple[Lease, Sequence[ItemRecord], bool]]) -> None:
        """Write the unfinished items of several turns in one transaction. Turns that have lost their lease are skipped.

        Args:
            writes: for each turn its lease, its items, and whether they are uncommitted.
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
        """Write the last items, commit or drop the uncommitted ones, and release the lease, in one transaction.

        Args:
            lease: the turn's lease.
            items: the last items of the turn.
            replace: the ids of the items that are removed when the uncommitted ones are committed.
            drop: whether to remove the turn's uncommitted items instead of committing them.
            usage: the model usage of the turn.

        Raises:
            LeaseLost: another turn has a larger fence, or the thread was deleted; nothing was written.
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

        It does nothing if the turn does not hold the lease, because it never began or lost it. The items of
        `after_interruption` stay: they are about the turn before.

        Args:
            thread_id: the thread.
            context: the request.
            turn_id: the turn.
            created: whether `begin_turn` was to create the thread, which is then deleted.
            items: the ids of the turn's first items, which are removed; unknown ids are ignored.
            attachments: the attachments that `begin_turn` moved to the thread, which have no thread again. Attachments
                that another message of the thread has, of other threads, or that do not exist are ignored.

        Returns:
            Whether the turn held the lease.
        """

    @abstractmethod
    async def start_history_at(self, lease: Lease, seq: int) -> None:
        """Set the thread's `history_from`: the `seq` of the first item of the model's input."""

    # -- titles, feedback, usage -----------------------------------------------------------------------

    @abstractmethod
    async def set_title(self, thread_id: str, title: str, context: RequestContext) -> None:
        """Rename a thread. Nothing else of it changes.

        Raises:
            NotFound: no such thread.
        """

    @abstractmethod
    async def replace_title(self, thread_id: str, old: str | None, new: str, context: RequestContext) -> bool:
        """Rename a thread if it still has its old title; return whether it was renamed.

        Raises:
            NotFound: no such thread.
        """

    @abstractmethod
    async def save_feedback(
        self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind, context: RequestContext
    ) -> None:
        """Store the user's feedback on items. It replaces earlier feedback on the same item.

        Raises:
            NotFound: no such thread, or no such item in it; nothing was stored.
        """

    @abstractmethod
    async def save_usage(self, records: Sequence[UsageRecord], context: RequestContext) -> None:
        """Store model usage after its turn has ended. The thread may have been deleted.

        A record replaces the one of the same turn, agent and model.

        Raises:
            NotFound: a turn belongs to another user; nothing was stored.
        """

    @abstractmethod
    async def tokens_used(self, context: RequestContext, *, since: int, whole_tenant: bool = False) -> int:
        """Return how many tokens the user's turns have used: input and output, as far as the providers reported them.

        Args:
            context: the request.
            since: microseconds since 1970; older usage does not count (`UsageRecord.created_at`).
            whole_tenant: whether the turns of all users of the user's tenant count.
        """

    @abstractmethod
    async def delete_unused_attachments(self, *, before: int, limit: int) -> int:
        """Delete the records of attachments that no thread has, of all users, and queue their files.

        Args:
            before: microseconds since 1970; attachments that were saved later stay.
            limit: how many are deleted at most.

        Returns:
            How many were deleted.
        """

    @abstractmethod
    async def deleted_files(self, *, limit: int) -> list[str]:
        """Return the ids of attachments whose records are deleted, and whose files are to be.

        Every transaction that deletes the record of an attachment, alone, with its thread or with its user, queues it here.

        Args:
            limit: how many are returned at most; those first that have waited longest.
        """

    @abstractmethod
    async def forget_deleted_files(self, ids: Sequence[str]) -> None:
        """Remove attachments from that queue: their files are deleted."""

    @abstractmethod
    async def installation_id(self) -> str:
        """Return the id of this installation, which is made when it is first asked for: 32 hexadecimal digits.

        It is part of the keys of files: installations that share a place for files leave those of the others alone.
        """

    @abstractmethod
    async def put_item(self, record: ItemRecord, context: RequestContext) -> None:
        """Add or replace an item outside of a turn.

        Raises:
            NotFound: no such thread.
        """

    @abstractmethod
    async def put_thread(self, record: ThreadRecord, context: RequestContext) -> None:
        """Create a thread, or replace its metadata.

        Raises:
            NotFound: a thread with this id belongs to another user.
        """

    # -- ChatKit's own interface -----------------------------------------------------------------------

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
