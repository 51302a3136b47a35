"""The records of attachments. All functions are part of a transaction."""

from chatkit.types import Attachment
from sqlalchemy import and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.clock import now, to_micros
from chatrack.errors import NotFound
from chatrack.interfaces.records import dump_attachment, load_attachment
from chatrack.interfaces.user import User
from chatrack.sql import files
from chatrack.sql.ownership import owned_by, owner_row, owner_values
from chatrack.sql.reading import fetch_in, load_thread
from chatrack.sql.tables import attachments, items

_OWN_ATTACHMENT = (attachments.c.id == bindparam("attachment"), owned_by(attachments))


async def save(connection: AsyncConnection, attachment: Attachment, user: User) -> None:
    """Add or replace a record.

    Raises:
        NotFound: the thread it names is someone else's.
        IntegrityError: the id is someone else's, or was taken just now.
    """
    values = {"thread_id": attachment.thread_id, "data": dump_attachment(attachment)}
    if attachment.thread_id is not None:
        await load_thread(fetch_in(connection), attachment.thread_id, user)
    updated = await connection.execute(
        update(attachments).where(*_OWN_ATTACHMENT).values(**values),
        owner_values(user, attachment=attachment.id),
    )
    if updated.rowcount:
        return
    row = {
        "id": attachment.id,
        **owner_row(user),
        "created_at": to_micros(now()),
        **values,
    }
    await connection.execute(insert(attachments), row)


async def claim(connection: AsyncConnection, attachment: Attachment, user: User) -> None:
    """Assign an attachment to a thread, unless another thread has it.

    Args:
        connection: inside a transaction.
        attachment: the record, with the thread's id in it.
        user: the owner.

    Raises:
        NotFound: the user has none of this id, or another thread has it.
    """
    free = or_(attachments.c.thread_id.is_(None), attachments.c.thread_id == attachment.thread_id)
    claimed = await connection.execute(
        update(attachments)
        .where(*_OWN_ATTACHMENT, free)
        .values(thread_id=attachment.thread_id, data=dump_attachment(attachment)),
        owner_values(user, attachment=attachment.id),
    )
    if claimed.rowcount == 0:
        raise NotFound("There is no such attachment.", field="params.input.attachments")


async def is_used(connection: AsyncConnection, attachment_id: str, thread_id: str, user: User) -> bool:
    """Return whether a message of a thread has an attachment."""
    used = select(items.c.id).where(
        items.c.thread_id == bindparam("thread"),
        owned_by(items),
        items.c.type == "user_message",
        items.c.data.contains(attachment_id, autoescape=True),
    )
    found = await connection.execute(used.limit(1), owner_values(user, thread=thread_id))
    return found.first() is not None


async def hand_back(connection: AsyncConnection, attachment: Attachment, thread_id: str, user: User) -> None:
    """Undo `claim`. An attachment that the thread does not have is left alone.

    Args:
        connection: inside a transaction.
        attachment: the record, with or without the thread's id in it.
        thread_id: the thread.
        user: the owner.
    """
    free = attachment.model_copy(update={"thread_id": None})
    await connection.execute(
        update(attachments)
        .where(*_OWN_ATTACHMENT, attachments.c.thread_id == bindparam("thread"))
        .values(thread_id=None, data=dump_attachment(free)),
        owner_values(user, attachment=attachment.id, thread=thread_id),
    )


async def load(connection: AsyncConnection, attachment_id: str, user: User) -> Attachment:
    """Load a record.

    Raises:
        NotFound: the user has none of this id.
    """
    row = (
        await connection.execute(
            select(attachments.c.data).where(*_OWN_ATTACHMENT), owner_values(user, attachment=attachment_id)
        )
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such attachment.")
    return load_attachment(row.data)


async def remove(connection: AsyncConnection, attachment_id: str, user: User) -> None:
    """Delete a record, and queue its file.

    Raises:
        NotFound: the user has none of this id.
    """
    values = owner_values(user, attachment=attachment_id)
    await files.queue(connection, and_(*_OWN_ATTACHMENT), values)
    deleted = await connection.execute(delete(attachments).where(*_OWN_ATTACHMENT), values)
    if deleted.rowcount == 0:
        raise NotFound("There is no such attachment.")
