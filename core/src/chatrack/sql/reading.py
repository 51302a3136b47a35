"""Reading threads and items. Each function is one or two statements, in a transaction or outside of one."""

from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.errors import NotFound
from chatrack.interfaces.records import ItemRecord, RecordPage, ThreadPage, ThreadRecord
from chatrack.interfaces.user import User
from chatrack.sql.ownership import owned_by, owner_values
from chatrack.sql.tables import items, threads

VISIBLE = items.c.hidden.is_(False) & items.c.uncommitted.is_(False)
"""What a client may see."""

_THREAD = (
    threads.c.id,
    threads.c.created_at,
    threads.c.title,
    threads.c.status,
    threads.c.metadata,
    threads.c.allowed_image_domains,
    threads.c.history_from,
)
_ITEM = (
    items.c.id,
    items.c.thread_id,
    items.c.type,
    items.c.data,
    items.c.turn_id,
    items.c.origin,
    items.c.seq,
    items.c.format,
)
_LIMIT: Any = bindparam("limit")
_LAST = 2**62


def _items_where(*conditions: ColumnElement[bool]) -> Select[Any]:
    return select(*_ITEM).where(items.c.thread_id == bindparam("thread"), owned_by(items), *conditions)


# Built once, so that SQLAlchemy finds the compiled form again.
_LOAD_THREAD = select(*_THREAD).where(threads.c.id == bindparam("thread"), owned_by(threads))
_LOCK_THREAD = (
    select(threads.c.next_seq).where(threads.c.id == bindparam("thread"), owned_by(threads)).with_for_update()
)
_LOAD_ITEM = _items_where(items.c.id == bindparam("item"), items.c.uncommitted.is_(False))
_CURSOR = select(items.c.seq).where(
    items.c.thread_id == bindparam("thread"), items.c.id == bindparam("item"), owned_by(items), VISIBLE
)
_PAGE = {
    ("asc", False): _items_where(VISIBLE).order_by(items.c.seq).limit(_LIMIT),
    ("asc", True): _items_where(VISIBLE, items.c.seq > bindparam("seq")).order_by(items.c.seq).limit(_LIMIT),
    ("desc", False): _items_where(VISIBLE).order_by(items.c.seq.desc()).limit(_LIMIT),
    ("desc", True): _items_where(VISIBLE, items.c.seq < bindparam("seq"))
    .order_by(items.c.seq.desc())
    .limit(_LIMIT),
}
_CREATED, _KEY = threads.c.created_at, threads.c.id
_MOMENT: Any = bindparam("moment")
_AFTER: Any = bindparam("thread")
_MINE = select(*_THREAD).where(owned_by(threads)).limit(_LIMIT)
_ASCENDING = _MINE.order_by(_CREATED, _KEY)
_DESCENDING = _MINE.order_by(_CREATED.desc(), _KEY.desc())
_THREADS = {
    ("asc", False): _ASCENDING,
    ("asc", True): _ASCENDING.where(or_(_CREATED > _MOMENT, (_CREATED == _MOMENT) & (_KEY > _AFTER))),
    ("desc", False): _DESCENDING,
    ("desc", True): _DESCENDING.where(or_(_CREATED < _MOMENT, (_CREATED == _MOMENT) & (_KEY < _AFTER))),
}
_HISTORY = _items_where(
    items.c.uncommitted.is_(False), items.c.seq >= bindparam("first"), items.c.seq < bindparam("before")
).order_by(items.c.seq)


async def find_thread(connection: AsyncConnection, thread_id: str, user: User) -> ThreadRecord | None:
    """Load a thread, or give None if the user has none of this id."""
    values = {"thread": thread_id, **owner_values(user)}
    row = (await connection.execute(_LOAD_THREAD, values)).one_or_none()
    return None if row is None else _thread_record(row)


async def load_thread(connection: AsyncConnection, thread_id: str, user: User) -> ThreadRecord:
    """Load a thread.

    Raises:
        NotFound: the user has none of this id.
    """
    thread = await find_thread(connection, thread_id, user)
    if thread is None:
        raise NotFound("There is no such thread.")
    return thread


async def lock_thread(connection: AsyncConnection, thread_id: str, user: User) -> int:
    """Keep a thread from being changed by others until the transaction ends.

    Returns:
        The sequence that its next item gets.

    Raises:
        NotFound: the user has no such thread.
    """
    values = {"thread": thread_id, **owner_values(user)}
    row = (await connection.execute(_LOCK_THREAD, values)).one_or_none()
    if row is None:
        raise NotFound("There is no such thread.")
    return int(row.next_seq)


async def load_item(connection: AsyncConnection, thread_id: str, item_id: str, user: User) -> ItemRecord:
    """Load an item, hidden or not.

    Raises:
        NotFound: the user has no such item in such a thread.
    """
    values = {"thread": thread_id, "item": item_id, **owner_values(user)}
    row = (await connection.execute(_LOAD_ITEM, values)).one_or_none()
    if row is None:
        raise NotFound("There is no such item in this thread.")
    return _item_record(row)


async def page_items(
    connection: AsyncConnection, thread_id: str, *, after: str | None, limit: int, order: str, user: User
) -> RecordPage:
    """Load a page of visible items; an unknown thread gives an empty one.

    Raises:
        NotFound: there is no such item to continue after.
    """
    values: dict[str, Any] = {"thread": thread_id, "limit": limit + 1, **owner_values(user)}
    if after is not None:
        cursor = (
            await connection.execute(_CURSOR, {"thread": thread_id, "item": after, **owner_values(user)})
        ).one_or_none()
        if cursor is None:
            raise NotFound("There is no such item in this thread.", field="params.after")
        values["seq"] = cursor.seq
    rows = (await connection.execute(_PAGE[order, after is not None], values)).all()
    data = [_item_record(row) for row in rows[:limit]]
    more = len(rows) > limit
    return RecordPage(data=data, has_more=more, after=data[-1].id if more else None)


async def page_threads(
    connection: AsyncConnection, *, after: str | None, limit: int, order: str, user: User
) -> ThreadPage:
    """Load a page of threads, by creation.

    Raises:
        NotFound: there is no such thread to continue after.
    """
    values: dict[str, Any] = {"limit": limit + 1, **owner_values(user)}
    if after is not None:
        values["moment"] = (await load_thread(connection, after, user)).created_at
        values["thread"] = after
    rows = (await connection.execute(_THREADS[order, after is not None], values)).all()
    data = [_thread_record(row) for row in rows[:limit]]
    more = len(rows) > limit
    return ThreadPage(data=data, has_more=more, after=data[-1].id if more else None)


async def load_history(
    connection: AsyncConnection, thread_id: str, *, first: int, before: int | None, user: User
) -> list[ItemRecord]:
    """Load the committed items of a range of the sequence, hidden ones included."""
    values = {
        "thread": thread_id,
        "first": first,
        "before": _LAST if before is None else before,
        **owner_values(user),
    }
    return [_item_record(row) for row in (await connection.execute(_HISTORY, values)).all()]


def _item_record(row: Any) -> ItemRecord:
    item_id, thread_id, kind, data, turn_id, origin, seq, version = row
    return ItemRecord(
        id=item_id,
        thread_id=thread_id,
        type=kind,
        data=data,
        turn_id=turn_id,
        origin=origin,
        seq=seq,
        format=version,
    )


def _thread_record(row: Any) -> ThreadRecord:
    thread_id, created_at, title, status, metadata, domains, history_from = row
    return ThreadRecord(
        id=thread_id,
        created_at=created_at,
        title=title,
        status=status,
        metadata=metadata,
        allowed_image_domains=domains,
        history_from=history_from,
    )
