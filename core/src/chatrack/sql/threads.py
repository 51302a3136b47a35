"""The rows of threads. All functions are part of a transaction."""

from typing import Any

from sqlalchemy import and_, bindparam, delete, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.clock import now, to_micros
from chatrack.errors import NotFound
from chatrack.interfaces.records import ThreadRecord
from chatrack.interfaces.user import User
from chatrack.sql import files
from chatrack.sql.ownership import owned_by, owner_row, owner_values
from chatrack.sql.reading import fetch_in, find_thread
from chatrack.sql.tables import attachments, threads

_OWN_THREAD = (threads.c.id == bindparam("thread"), owned_by(threads))
_OF_THREAD = and_(attachments.c.thread_id == bindparam("thread"), owned_by(attachments))


async def create(connection: AsyncConnection, record: ThreadRecord, user: User) -> None:
    """Add a thread."""
    await connection.execute(insert(threads), _row(record, user))


async def put(connection: AsyncConnection, record: ThreadRecord, user: User) -> None:
    """Add a thread, or replace its metadata."""
    if await find_thread(fetch_in(connection), record.id, user) is None:
        await create(connection, record, user)
        return
    row = _row(record, user)
    names = ("title", "status", "metadata", "allowed_image_domains")
    await change(connection, record.id, user, {name: row[name] for name in names})


async def change(connection: AsyncConnection, thread_id: str, user: User, values: dict[str, Any]) -> None:
    """Change some columns of a thread, and nothing else."""
    await connection.execute(
        update(threads).where(*_OWN_THREAD).values(**values), owner_values(user, thread=thread_id)
    )


async def touch(connection: AsyncConnection, thread_id: str, user: User) -> None:
    """Set when a thread was last written to; adding items does so, too."""
    await change(connection, thread_id, user, {"updated_at": to_micros(now())})


async def remove(connection: AsyncConnection, thread_id: str, user: User) -> None:
    """Delete a thread, and queue its files. The foreign keys delete its items, lease, pauses, attachments and feedback.

    Raises:
        NotFound: the user has none of this id.
    """
    values = owner_values(user, thread=thread_id)
    await files.queue(connection, _OF_THREAD, values)
    deleted = await connection.execute(delete(threads).where(*_OWN_THREAD), values)
    if deleted.rowcount == 0:
        raise NotFound("There is no such thread.")


def _row(record: ThreadRecord, user: User) -> dict[str, Any]:
    return {
        "id": record.id,
        **owner_row(user),
        "created_at": record.created_at,
        "title": record.title,
        "status": record.status,
        "metadata": record.metadata,
        "allowed_image_domains": record.allowed_image_domains,
        "updated_at": to_micros(now()),
    }
