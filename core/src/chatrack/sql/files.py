"""Files: whose they are, and which of them are to be deleted."""

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    bindparam,
    delete,
    exists,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.clock import now, to_micros
from chatrack.sql.database import Database
from chatrack.sql.reading import Fetch
from chatrack.sql.tables import attachments, deleted_files, installation

_OLDEST = (
    select(deleted_files.c.id)
    .order_by(deleted_files.c.deleted_at, deleted_files.c.id)
    .limit(bindparam("limit", type_=BigInteger))
)
_INSTALLATION = select(installation.c.id)


async def queue(
    connection: AsyncConnection, condition: ColumnElement[bool], values: Mapping[str, Any]
) -> None:
    """Note the files of attachments whose records are about to be deleted, in the same transaction.

    Args:
        connection: inside the transaction.
        condition: which attachments.
        values: the parameters of the condition.
    """
    is_queued = exists().where(deleted_files.c.id == attachments.c.id)
    rows = select(
        attachments.c.id,
        attachments.c.tenant_id,
        attachments.c.user_id,
        bindparam("deleted_at", type_=BigInteger),
    ).where(condition, ~is_queued)
    columns = ["id", "tenant_id", "user_id", "deleted_at"]
    await connection.execute(
        insert(deleted_files).from_select(columns, rows), {**values, "deleted_at": to_micros(now())}
    )


async def oldest(fetch: Fetch, limit: int) -> list[str]:
    """Return the ids of files that are to be deleted, those first that have waited longest."""
    return [row[0] for row in await fetch(_OLDEST, {"limit": limit})]


async def forget(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Forget files that are deleted."""
    await connection.execute(delete(deleted_files).where(deleted_files.c.id.in_(ids)))


async def delete_unused(connection: AsyncConnection, before: int, limit: int) -> int:
    """Delete attachments that no thread has, and queue their files.

    Args:
        connection: inside a transaction.
        before: microseconds since 1970; newer attachments stay.
        limit: how many are deleted at most.

    Returns:
        How many were deleted.
    """
    unused = (attachments.c.thread_id.is_(None), attachments.c.created_at < before)
    chosen = (
        select(attachments.c.id)
        .where(*unused)
        .order_by(attachments.c.created_at)
        .limit(limit)
        .with_for_update()
    )
    ids = (await connection.execute(chosen)).scalars().all()
    if not ids:
        return 0
    await queue(connection, attachments.c.id.in_(ids), {})
    await connection.execute(delete(attachments).where(attachments.c.id.in_(ids)))
    return len(ids)


async def installation_id(database: Database) -> str:
    """Return the id of this installation, which is made when it is first asked for."""
    rows = await database.fetch(_INSTALLATION, {})
    if not rows:
        row = {"number": 1, "id": secrets.token_hex(16)}
        with contextlib.suppress(IntegrityError):  # another process was faster
            await database.write(lambda connection: connection.execute(insert(installation), row))
        rows = await database.fetch(_INSTALLATION, {})
    return str(rows[0][0])
