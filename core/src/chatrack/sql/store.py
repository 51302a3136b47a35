"""The store over SQL that every SQL store plugin shares."""

from collections.abc import Sequence
from typing import Any

from chatkit.types import Attachment, FeedbackKind
from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.clock import now, to_micros
from chatrack.errors import NotFound
from chatrack.interfaces.context import RequestContext
from chatrack.interfaces.records import ItemRecord, RecordPage, ThreadPage, ThreadRecord
from chatrack.interfaces.store import Lease, Store
from chatrack.interfaces.user import User
from chatrack.sql import attachments as attachment_rows
from chatrack.sql import items as item_rows
from chatrack.sql import leases as lease_rows
from chatrack.sql import reading
from chatrack.sql.database import Database
from chatrack.sql.dialect import upsert
from chatrack.sql.ownership import owned_by, owner_values
from chatrack.sql.tables import feedback, items, threads

_THIS_THREAD = (threads.c.id == bindparam("thread"), owned_by(threads))


class SQLStore(Store):
    """Threads and all that belongs to them in a SQL database.

    Args:
        database: where; started and stopped by the store.
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
        async with self.database.read() as connection:
            return await reading.load_thread(connection, thread_id, context.user)

    async def page_items(
        self, thread_id: str, *, after: str | None, limit: int, order: str, context: RequestContext
    ) -> RecordPage:
        user = context.user
        async with self.database.read() as connection:
            page = await reading.page_items(
                connection, thread_id, after=after, limit=limit, order=order, user=user
            )
            if not page.data and after is None:
                await reading.load_thread(connection, thread_id, user)  # an empty thread, or none at all?
            return page

    async def thread_with_items(
        self, thread_id: str, *, limit: int, context: RequestContext
    ) -> tuple[ThreadRecord, RecordPage]:
        user = context.user
        async with self.database.read() as connection:
            thread = await reading.load_thread(connection, thread_id, user)
            page = await reading.page_items(
                connection, thread_id, after=None, limit=limit, order="asc", user=user
            )
            return thread, page

    async def page_threads(
        self, *, after: str | None, limit: int, order: str, context: RequestContext
    ) -> ThreadPage:
        async with self.database.read() as connection:
            return await reading.page_threads(
                connection, after=after, limit=limit, order=order, user=context.user
            )

    async def load_item_record(self, thread_id: str, item_id: str, context: RequestContext) -> ItemRecord:
        async with self.database.read() as connection:
            return await reading.load_item(connection, thread_id, item_id, context.user)

    async def load_history(
        self,
        thread_id: str,
        context: RequestContext,
        *,
        first: int | None = None,
        before: int | None = None,
    ) -> list[ItemRecord]:
        user = context.user
        async with self.database.read() as connection:
            thread = await reading.load_thread(connection, thread_id, user)
            start = thread.history_from if first is None else first
            return await reading.load_history(connection, thread_id, first=start, before=before, user=user)

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
    ) -> Lease:
        dialect, user = self.database.dialect, context.user

        async def work(connection: AsyncConnection) -> Lease:
            if create is not None:
                await connection.execute(insert(threads), _thread_row(create, user))
            take = lease_rows.acquire if create is None else lease_rows.grant_new
            grant = await take(
                connection, dialect, thread_id=thread_id, turn_id=turn_id, user=user, seconds=seconds
            )
            opening = list(items)
            for attachment in attachments:
                await attachment_rows.claim(connection, attachment, user)
            if grant.lease.interrupted:
                retried = await item_rows.drop_uncommitted(connection, thread_id, user=user)
                if not retried:  # of a retry nothing is left, and the answer before it is whole
                    opening = [*after_interruption, *opening]
            await item_rows.put(connection, dialect, opening, user=user, next_seq=grant.next_seq)
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
        uncommitted: bool = False,
    ) -> None:
        dialect, user = self.database.dialect, lease.user

        async def work(connection: AsyncConnection) -> None:
            next_seq = await lease_rows.check(connection, lease)
            await item_rows.remove(connection, lease.thread_id, remove, user=user)
            await item_rows.put(
                connection, dialect, items, user=user, next_seq=next_seq, uncommitted=uncommitted
            )

        await self.database.write(work)

    async def checkpoint(self, writes: Sequence[tuple[Lease, Sequence[ItemRecord], bool]]) -> None:
        async def work(connection: AsyncConnection) -> None:
            held = await lease_rows.check_many(connection, [lease for lease, _, _ in writes])
            rows = [
                (lease.user, held[lease.turn_id], records, uncommitted)
                for lease, records, uncommitted in writes
                if lease.turn_id in held
            ]
            await item_rows.put_many(connection, self.database.dialect, rows)

        await self.database.write(work)

    async def end_turn(
        self,
        lease: Lease,
        items: Sequence[ItemRecord] = (),
        *,
        replace: Sequence[str] = (),
        drop: bool = False,
    ) -> None:
        dialect, user, thread_id = self.database.dialect, lease.user, lease.thread_id

        async def work(connection: AsyncConnection) -> None:
            next_seq = await lease_rows.check(connection, lease)
            if drop:
                await item_rows.drop_uncommitted(connection, thread_id, user=user)
            else:
                await item_rows.remove(connection, thread_id, replace, user=user)
                await item_rows.commit(connection, thread_id, lease.turn_id, user=user)
            await item_rows.put(connection, dialect, items, user=user, next_seq=next_seq)
            await lease_rows.release(connection, lease)

        await self.database.write(work)

    async def start_history_at(self, lease: Lease, seq: int) -> None:
        async def work(connection: AsyncConnection) -> None:
            await lease_rows.check(connection, lease)
            await _change(connection, lease.thread_id, lease.user, {"history_from": seq})

        await self.database.write(work)

    # -- the rest --------------------------------------------------------------------------------------

    async def set_title(self, thread_id: str, title: str, context: RequestContext) -> None:
        async def work(connection: AsyncConnection) -> None:
            await reading.lock_thread(connection, thread_id, context.user)
            await _change(connection, thread_id, context.user, {"title": title})

        await self.database.write(work)

    async def replace_title(self, thread_id: str, old: str | None, new: str, context: RequestContext) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            await reading.lock_thread(connection, thread_id, context.user)
            if (await reading.load_thread(connection, thread_id, context.user)).title != old:
                return False
            await _change(connection, thread_id, context.user, {"title": new})
            return True

        return await self.database.write(work)

    async def save_feedback(
        self, thread_id: str, item_ids: Sequence[str], kind: FeedbackKind, context: RequestContext
    ) -> None:
        user = context.user
        wanted = list(dict.fromkeys(item_ids))
        statement = upsert(
            self.database.dialect, feedback, key=["thread_id", "item_id"], update=["kind", "created_at"]
        )
        row = {
            "thread_id": thread_id,
            "tenant_id": user.tenant_id,
            "user_id": user.id,
            "kind": kind,
            "created_at": to_micros(now()),
        }
        known = select(items.c.id).where(
            items.c.thread_id == bindparam("thread"), items.c.id.in_(wanted), owned_by(items), reading.VISIBLE
        )

        async def work(connection: AsyncConnection) -> None:
            await reading.lock_thread(connection, thread_id, user)
            found = (await connection.execute(known, {"thread": thread_id, **owner_values(user)})).all()
            if len(found) != len(wanted):
                raise NotFound("There is no such item in this thread.", field="params.item_ids")
            await connection.execute(statement, [{**row, "item_id": item_id} for item_id in wanted])

        await self.database.write(work)

    async def put_item(self, record: ItemRecord, context: RequestContext) -> None:
        async def work(connection: AsyncConnection) -> None:
            next_seq = await reading.lock_thread(connection, record.thread_id, context.user)
            await item_rows.put(
                connection, self.database.dialect, [record], user=context.user, next_seq=next_seq
            )

        await self.database.write(work)

    async def put_thread(self, record: ThreadRecord, context: RequestContext) -> None:
        row = _thread_row(record, context.user)

        async def work(connection: AsyncConnection) -> None:
            if await reading.find_thread(connection, record.id, context.user) is not None:
                changes = {
                    name: row[name] for name in ("title", "status", "metadata", "allowed_image_domains")
                }
                await _change(connection, record.id, context.user, changes)
                return
            taken = await connection.execute(select(threads.c.id).where(threads.c.id == record.id))
            if taken.one_or_none() is not None:
                raise NotFound("There is no such thread.")
            await connection.execute(insert(threads), row)

        await self.database.write(work)

    async def delete_thread(self, thread_id: str, context: RequestContext) -> None:
        # The foreign keys take items, lease, attachments' records and feedback along (T22).
        async def work(connection: AsyncConnection) -> None:
            values = {"thread": thread_id, **owner_values(context.user)}
            gone = await connection.execute(delete(threads).where(*_THIS_THREAD), values)
            if gone.rowcount == 0:
                raise NotFound("There is no such thread.")

        await self.database.write(work)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: RequestContext) -> None:
        async def work(connection: AsyncConnection) -> None:
            await reading.lock_thread(connection, thread_id, context.user)
            await item_rows.remove(connection, thread_id, [item_id], user=context.user)

        await self.database.write(work)

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        await self.database.write(
            lambda connection: attachment_rows.save(connection, attachment, context.user)
        )

    async def load_attachment(self, attachment_id: str, context: RequestContext) -> Attachment:
        async with self.database.read() as connection:
            return await attachment_rows.load(connection, attachment_id, context.user)

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        await self.database.write(
            lambda connection: attachment_rows.remove(connection, attachment_id, context.user)
        )


async def _change(connection: AsyncConnection, thread_id: str, user: User, values: dict[str, Any]) -> None:
    """Change some columns of a thread, and touch nothing else of it (T11)."""
    await connection.execute(
        update(threads).where(*_THIS_THREAD).values(**values), {"thread": thread_id, **owner_values(user)}
    )


def _thread_row(record: ThreadRecord, user: User) -> dict[str, Any]:
    return {
        "id": record.id,
        "tenant_id": user.tenant_id,
        "user_id": user.id,
        "created_at": record.created_at,
        "title": record.title,
        "status": record.status,
        "metadata": record.metadata,
        "allowed_image_domains": record.allowed_image_domains,
    }
