"""The items of threads. All functions are part of a transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.clock import now, to_micros
from chatrack.interfaces.records import ItemRecord
from chatrack.interfaces.user import User
from chatrack.sql.database import Database
from chatrack.sql.ownership import owned_by, owner_row, owner_values
from chatrack.sql.tables import feedback, items, threads


async def put(
    connection: AsyncConnection,
    database: Database,
    records: Sequence[ItemRecord],
    *,
    user: User,
    next_seq: int,
    uncommitted: bool = False,
) -> None:
    """Add items to a thread, or replace those whose ids it already has; replaced items keep their place.

    Args:
        connection: inside a transaction that has locked the thread.
        database: the database of the connection.
        records: the items, all of one thread, in order.
        user: the owner of the thread.
        next_seq: the first free sequence of the thread.
        uncommitted: whether new items stay invisible until `commit`.
    """
    if not records:
        return
    await put_many(connection, database, [(user, next_seq, records, uncommitted)])


async def put_many(
    connection: AsyncConnection,
    database: Database,
    writes: Sequence[tuple[User, int, Sequence[ItemRecord], bool]],
) -> None:
    """Add or replace items of several threads with two statements; each tuple has the arguments of `put` for a thread."""
    moment = to_micros(now())
    rows: list[dict[str, Any]] = []
    counters: list[dict[str, Any]] = []
    for user, next_seq, records, uncommitted in writes:
        for offset, record in enumerate(records):
            rows.append(
                {
                    "thread_id": record.thread_id,
                    "seq": next_seq + offset,
                    "id": record.id,
                    **owner_row(user),
                    "type": record.type,
                    "turn_id": record.turn_id,
                    "hidden": record.hidden,
                    "uncommitted": uncommitted,
                    "format": record.format,
                    "data": record.data,
                    "origin": record.provider_metadata,
                }
            )
        if records:
            # A replaced item leaves a gap in the sequence; only the order matters.
            counters.append(
                {
                    "next": next_seq + len(records),
                    "moment": moment,
                    **owner_values(user, thread=records[0].thread_id),
                }
            )
    if not rows:
        return
    await connection.execute(database.upsert(items, key=("thread_id", "id"), update=_REPLACED_COLUMNS), rows)
    await connection.execute(_ADVANCE_SEQ, counters)


async def remove(connection: AsyncConnection, thread_id: str, ids: Sequence[str], *, user: User) -> None:
    """Delete items and the feedback on them; unknown ids are ignored."""
    if not ids:
        return
    owner = owner_values(user, thread=thread_id)
    for table, column in ((items, items.c.id), (feedback, feedback.c.item_id)):
        await connection.execute(
            delete(table).where(table.c.thread_id == bindparam("thread"), column.in_(ids), owned_by(table)),
            owner,
        )


async def commit(connection: AsyncConnection, thread_id: str, turn_id: str, *, user: User) -> None:
    """Make a turn's uncommitted items visible."""
    await connection.execute(_COMMIT, owner_values(user, thread=thread_id, turn=turn_id))


async def drop_uncommitted(connection: AsyncConnection, thread_id: str, *, user: User) -> int:
    """Delete the uncommitted items of a thread, and return how many there were."""
    dropped = await connection.execute(
        delete(items).where(
            items.c.thread_id == bindparam("thread"), items.c.uncommitted.is_(True), owned_by(items)
        ),
        owner_values(user, thread=thread_id),
    )
    return dropped.rowcount


_REPLACED_COLUMNS = ("type", "hidden", "format", "data", "origin")
_COMMIT = (
    update(items)
    .where(
        items.c.thread_id == bindparam("thread"),
        items.c.turn_id == bindparam("turn"),
        items.c.uncommitted.is_(True),
        owned_by(items),
    )
    .values(uncommitted=False)
)
_ADVANCE_SEQ = (
    update(threads)
    .where(threads.c.id == bindparam("thread"), owned_by(threads))
    .values(next_seq=bindparam("next"), updated_at=bindparam("moment"))
)
