"""The pauses of threads. All functions but `load` are part of a transaction that has locked the thread."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.interfaces.records import PauseRecord
from chatrack.interfaces.user import User
from chatrack.sql.database import Database
from chatrack.sql.ownership import owned_by, owner_row, owner_values
from chatrack.sql.reading import Fetch, load_thread
from chatrack.sql.tables import items, pauses

_LOAD = (
    select(*(pauses.c[name] for name in PauseRecord.__struct_fields__))
    .select_from(
        pauses.join(items, (items.c.thread_id == pauses.c.thread_id) & (items.c.id == pauses.c.item_id))
    )
    .where(
        pauses.c.thread_id == bindparam("thread"),
        owned_by(pauses),
        owned_by(items),
        items.c.uncommitted.is_(False),
    )
    .order_by(items.c.seq)
)


async def load(fetch: Fetch, thread_id: str, user: User) -> list[PauseRecord]:
    """Load the pauses of a thread, in the order of its items.

    Raises:
        NotFound: the user has no such thread.
    """
    rows = await fetch(_LOAD, owner_values(user, thread=thread_id))
    if not rows:
        await load_thread(fetch, thread_id, user)
    return [PauseRecord(**dict(zip(PauseRecord.__struct_fields__, row, strict=True))) for row in rows]


async def put(
    connection: AsyncConnection, database: Database, records: Sequence[PauseRecord], *, user: User
) -> None:
    """Add pauses, or replace those of the same items; the items are stored already."""
    if not records:
        return
    rows = [{**msgspec.structs.asdict(record), **owner_row(user)} for record in records]
    statement = database.upsert(pauses, key=["thread_id", "item_id"], update=["turn_id", "kind", "data"])
    await connection.execute(statement, rows)


async def resolve(
    connection: AsyncConnection, thread_id: str, item_ids: Sequence[str], *, user: User
) -> None:
    """Remove the pauses of some items; unknown ones are ignored."""
    if item_ids:
        await connection.execute(
            delete(pauses).where(
                pauses.c.thread_id == bindparam("thread"), pauses.c.item_id.in_(item_ids), owned_by(pauses)
            ),
            owner_values(user, thread=thread_id),
        )
