"""The store that all SQL store plugins share."""

from collections.abc import Awaitable, Callable, Sequence

from chatkit.types import Attachment, FeedbackKind
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.errors import NotFound
from chatrack.interfaces.context import RequestContext
from chatrack.interfaces.lease import Lease
from chatrack.interfaces.records import (
    ItemRecord,
    PauseRecord,
    RecordPage,
    ThreadPage,
    ThreadRecord,
    UsageRecord,
)
from chatrack.interfaces.store import Store
from chatrack.sql import attachments as attachment_rows
from chatrack.sql import feedback as feedback_rows
from chatrack.sql import files as file_rows
from chatrack.sql import items as item_rows
from chatrack.sql import leases as lease_rows
from chatrack.sql import pauses as pause_rows
from chatrack.sql import reading
from chatrack.sql import threads as thread_rows
from chatrack.sql import usage as usage_rows
from chatrack.sql.database import Database
from chatrack.sql.ownership import refuse_nul, require_same_thread
from chatrack.sql.reading import fetch_in


class SQLStore(Store):
    """A store in a SQL database.

    Args:
        database: the database; started and stopped by the store.
    """

    def __init__(self, database: Database) -> None:
        self.database: Database = database

    async def start(self) -> None:
        await self.database.start()

    async def stop(self) -> None:
        await self.database.stop()

    async def health(self) -> None:
        await self.database.health()

    # -- reading ---------------------------------------------------------------------------------------

    async def load_record(self, thread_id: str, context: RequestContext) -> ThreadRecord:
        return await reading.load_thread(self.database.fetch, thread_id, context.user)

    async def page_items(
        self, thread_id: str, *, after: str | None, limit: int, order: str, context: RequestContext
    ) -> RecordPage:
        return await reading.page_items(
            self.database.fetch, thread_id, after=after, limit=limit, order=order, user=context.user
        )

    async def thread_with_items(
        self, thread_id: str, *, limit: int, context: RequestContext
    ) -> tuple[ThreadRecord, RecordPage]:
        return await reading.thread_with_items(self.database.fetch, thread_id, limit=limit, user=context.user)

    async def page_threads(
        self, *, after: str | None, limit: int, order: str, context: RequestContext
    ) -> ThreadPage:
        return await reading.page_threads(
            self.database.fetch, after=after, limit=limit, order=order, user=context.user
        )

    async def load_item_record(self, thread_id: str, item_id: str, context: RequestContext) -> ItemRecord:
        return await reading.load_item(self.database.fetch, thread_id, item_id, context.user)

    async def load_history(
        self,
        thread_id: str,
        context: RequestContext,
        *,
        first: int | None = None,
        before: int | None = None,
        budget: int | None = None,
    ) -> list[ItemRecord]:
        fetch, user = self.database.fetch, context.user
        thread = await reading.load_thread(fetch, thread_id, user)
        start = thread.history_from if first is None else first
        return await reading.load_history(
            fetch, thread_id, first=start, before=before, budget=budget, user=user
        )

    async def load_pauses(self, thread_id: str, context: RequestContext) -> list[PauseRecord]:
        return await pause_rows.load(self.database.fetch, thread_id, context.user)

    # -- the turn --------------------------------------------------------------------------------------

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
        user = context.user
        require_same_thread(thread_id, items, after_interruption)

        async def work(connection: AsyncConnection) -> Lease:
            if create is not None:
                await thread_rows.create(connection, create, user)
            take = lease_rows.acquire if create is None else lease_rows.grant_new
            grant = await take(
                connection, self.database, thread_id=thread_id, turn_id=turn_id, user=user, seconds=seconds
            )
            if max_turns is not None:
                await lease_rows.require_fewer(connection, max_turns, thread_id=thread_id, user=user)
            opening_items = list(items)
            for attachment in attachments:
                await attachment_rows.claim(connection, attachment, user)
            if grant.lease.interrupted:
                dropped = await item_rows.drop_uncommitted(connection, thread_id, user=user)
                if not dropped:  # an interrupted retry leaves the complete old answer: no need for a marker
                    opening_items = [*after_interruption, *opening_items]
            await item_rows.put(connection, self.database, opening_items, user=user, next_seq=grant.next_seq)
            if not opening_items:
                await thread_rows.touch(connection, thread_id, user)
            return grant.lease

        return await self.database.write(work)

    async def renew(self, leases: Sequence[Lease], *, seconds: float) -> set[str]:
        return await self.database.write(lambda connection: lease_rows.renew(connection, leases, seconds))

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
        user = lease.user
        require_same_thread(lease.thread_id, items, pauses)

        async def work(connection: AsyncConnection) -> None:
            next_seq = await lease_rows.check(connection, lease)
            await item_rows.remove(connection, lease.thread_id, remove, user=user)
            await item_rows.put(
                connection, self.database, items, user=user, next_seq=next_seq, uncommitted=uncommitted
            )
            await pause_rows.resolve(connection, lease.thread_id, resolve, user=user)
            await pause_rows.put(connection, self.database, pauses, user=user)

        await self.database.write(work)

    async def checkpoint(self, writes: Sequence[tuple[Lease, Sequence[ItemRecord], bool]]) -> None:
        for lease, records, _ in writes:
            require_same_thread(lease.thread_id, records)

        async def work(connection: AsyncConnection) -> None:
            held = await lease_rows.check_many(connection, [lease for lease, _, _ in writes])
            rows = [
                (lease.user, held[lease.turn_id], records, uncommitted)
                for lease, records, uncommitted in writes
                if lease.turn_id in held
            ]
            await item_rows.put_many(connection, self.database, rows)

        await self.database.write(work)

    async def end_turn(
        self,
        lease: Lease,
        items: Sequence[ItemRecord] = (),
        *,
        replace: Sequence[str] = (),
        drop: bool = False,
        usage: Sequence[UsageRecord] = (),
    ) -> None:
        user, thread_id = lease.user, lease.thread_id
        require_same_thread(thread_id, items)

        async def work(connection: AsyncConnection) -> None:
            next_seq = await lease_rows.check(connection, lease)
            if drop:
                await item_rows.drop_uncommitted(connection, thread_id, user=user)
            else:
                await item_rows.remove(connection, thread_id, replace, user=user)
                await item_rows.commit(connection, thread_id, lease.turn_id, user=user)
            await item_rows.put(connection, self.database, items, user=user, next_seq=next_seq)
            await usage_rows.put(connection, self.database, usage, user=user)
            await lease_rows.release(connection, lease)

        await self.database.write(work)

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
        user = context.user

        async def work(connection: AsyncConnection) -> bool:
            lease = await lease_rows.find_held(connection, thread_id, turn_id, user)
            if lease is None:
                return False
            await item_rows.remove(connection, thread_id, items, user=user)
            for attachment in attachments:
                if created or not await attachment_rows.is_used(connection, attachment.id, thread_id, user):
                    await attachment_rows.hand_back(connection, attachment, thread_id, user)
            if created:
                await thread_rows.remove(connection, thread_id, user)
            else:
                await lease_rows.release(connection, lease)
            return True

        return await self.database.write(work)

    async def start_history_at(self, lease: Lease, seq: int) -> None:
        async def work(connection: AsyncConnection) -> None:
            await lease_rows.check(connection, lease)
            await thread_rows.change(connection, lease.thread_id, lease.user, {"history_from": seq})

        await self.database.write(work)

    # -- the rest --------------------------------------------------------------------------------------

    async def set_title(self, thread_id: str, title: str, context: RequestContext) -> None:
        async def work(connection: AsyncConnection) -> None:
            await reading.lock_thread(connection, thread_id, context.user)
            await thread_rows.change(connection, thread_id, context.user, {"title": title})

        await self.database.write(work)

    async def replace_title(self, thread_id: str, old: str | None, new: str, context: RequestContext) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            await reading.lock_thread(connection, thread_id, context.user)
            if (await reading.load_thread(fetch_in(connection), thread_id, context.user)).title != old:
                return False
            await thread_rows.change(connection, thread_id, context.user, {"title": new})
            return True

        return await self.database.write(work)

    async def save_feedback(
        self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind, context: RequestContext
    ) -> None:
        user = context.user
        wanted = list(dict.fromkeys(item_ids))
        refuse_nul(*wanted)

        async def work(connection: AsyncConnection) -> None:
            await reading.lock_thread(connection, thread_id, user)
            await feedback_rows.save(connection, self.database, thread_id, wanted, kind, user=user)

        await self.database.write(work)

    async def save_usage(self, records: Sequence[UsageRecord], context: RequestContext) -> None:
        async def work(connection: AsyncConnection) -> None:
            await usage_rows.require_own_turns(connection, records, user=context.user)
            await usage_rows.put(connection, self.database, records, user=context.user)

        await self.database.write(work)

    async def tokens_used(self, context: RequestContext, *, since: int, whole_tenant: bool = False) -> int:
        return await usage_rows.tokens_since(
            self.database.fetch, since, user=context.user, whole_tenant=whole_tenant
        )

    async def put_item(self, record: ItemRecord, context: RequestContext) -> None:
        async def work(connection: AsyncConnection) -> None:
            next_seq = await reading.lock_thread(connection, record.thread_id, context.user)
            await item_rows.put(connection, self.database, [record], user=context.user, next_seq=next_seq)

        await self.database.write(work)

    async def put_thread(self, record: ThreadRecord, context: RequestContext) -> None:
        await self._put(lambda connection: thread_rows.put(connection, record, context.user))

    async def delete_thread(self, thread_id: str, context: RequestContext) -> None:
        await self.database.write(lambda connection: thread_rows.remove(connection, thread_id, context.user))

    async def delete_thread_item(self, thread_id: str, item_id: str, context: RequestContext) -> None:
        async def work(connection: AsyncConnection) -> None:
            await reading.lock_thread(connection, thread_id, context.user)
            await item_rows.remove(connection, thread_id, [item_id], user=context.user)

        await self.database.write(work)

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        await self._put(lambda connection: attachment_rows.save(connection, attachment, context.user))

    async def load_attachment(self, attachment_id: str, context: RequestContext) -> Attachment:
        async with self.database.read() as connection:
            return await attachment_rows.load(connection, attachment_id, context.user)

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        await self.database.write(
            lambda connection: attachment_rows.remove(connection, attachment_id, context.user)
        )

    async def delete_unused_attachments(self, *, before: int, limit: int) -> int:
        return await self.database.write(
            lambda connection: file_rows.delete_unused(connection, before, limit)
        )

    async def deleted_files(self, *, limit: int) -> list[str]:
        return await file_rows.oldest(self.database.fetch, limit)

    async def forget_deleted_files(self, ids: Sequence[str]) -> None:
        await self.database.write(lambda connection: file_rows.forget(connection, ids))

    async def installation_id(self) -> str:
        return await file_rows.installation_id(self.database)

    async def _put(self, work: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Run a transaction that inserts a row, or updates the one that the user has of this id.

        Raises:
            NotFound: the id is another user's.
        """
        try:
            await self.database.write(work)
        except IntegrityError:
            try:  # a row of the user's own was inserted concurrently, and is found now; or it is another user's
                await self.database.write(work)
            except IntegrityError:
                raise NotFound("There is no such thing.") from None
