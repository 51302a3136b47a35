"""Feedback on items. All functions are part of a transaction."""

from collections.abc import Sequence

from chatkit.types import FeedbackKind
from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.clock import now, to_micros
from chatrack.errors import NotFound
from chatrack.interfaces.user import User
from chatrack.sql.database import Database
from chatrack.sql.ownership import owned_by, owner_row, owner_values
from chatrack.sql.reading import VISIBLE
from chatrack.sql.tables import feedback, items

_VISIBLE_ITEMS = select(items.c.id).where(
    items.c.thread_id == bindparam("thread"),
    items.c.id.in_(bindparam("items", expanding=True)),
    owned_by(items),
    VISIBLE,
)


async def save(
    connection: AsyncConnection,
    database: Database,
    thread_id: str,
    item_ids: Sequence[str],
    kind: FeedbackKind,
    *,
    user: User,
) -> None:
    """Store feedback on items; it replaces earlier feedback on the same item.

    Args:
        connection: inside a transaction that has locked the thread.
        database: the database of the connection.
        thread_id: the thread.
        item_ids: the items, each once.
        kind: the feedback.
        user: the owner of the thread.

    Raises:
        NotFound: an item does not exist, or is not visible.
    """
    found = await connection.execute(
        _VISIBLE_ITEMS, {**owner_values(user, thread=thread_id), "items": item_ids}
    )
    if len(found.all()) != len(item_ids):
        raise NotFound("There is no such item in this thread.", field="params.item_ids")
    row = {
        "thread_id": thread_id,
        **owner_row(user),
        "kind": kind,
        "created_at": to_micros(now()),
    }
    statement = database.upsert(feedback, key=["thread_id", "item_id"], update=["kind", "created_at"])
    await connection.execute(statement, [{**row, "item_id": item_id} for item_id in item_ids])
