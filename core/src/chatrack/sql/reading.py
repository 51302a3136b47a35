"""Reading threads and items. Each function takes one or two statements, inside or outside of a transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.errors import NotFound
from chatrack.interfaces.records import ItemRecord, RecordPage, ThreadPage, ThreadRecord
from chatrack.interfaces.user import User
from chatrack.sql.ownership import owned_by, owner_values
from chatrack.sql.tables import items, threads

Fetch = Callable[[Select[Any], Mapping[str, Any]], Awaitable[Sequence[Sequence[Any]]]]
"""Returns the rows of a query: `Database.fetch`, or that of a transaction (`fetch_in`)."""

VISIBLE = items.c.hidden.is_(False) & items.c.uncommitted.is_(False)
"""The items that a client may see."""

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
_MAX_SEQ = 2**62


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
_CURSOR_SEQ = _CURSOR.scalar_subquery()
_PAGE = {
    ("asc", False): _items_where(VISIBLE).order_by(items.c.seq).limit(_LIMIT),
    ("asc", True): _items_where(VISIBLE, items.c.seq > _CURSOR_SEQ).order_by(items.c.seq).limit(_LIMIT),
    ("desc", False): _items_where(VISIBLE).order_by(items.c.seq.desc()).limit(_LIMIT),
    ("desc", True): _items_where(VISIBLE, items.c.seq < _CURSOR_SEQ)
    .order_by(items.c.seq.desc())
    .limit(_LIMIT),
}
_FIRST_PAGE = _PAGE["asc", False].subquery("page")
_WITH_ITEMS = (
    select(*_THREAD, *_FIRST_PAGE.c)
    .select_from(threads.outerjoin(_FIRST_PAGE, true()))
    .where(threads.c.id == bindparam("thread"), owned_by(threads))
    .order_by(_FIRST_PAGE.c.seq)
)
_CREATED, _ID = threads.c.created_at, threads.c.id
_CURSOR_CREATED: Any = bindparam("created_at")
_CURSOR_ID: Any = bindparam("thread")
_OWN_THREADS = select(*_THREAD).where(owned_by(threads)).limit(_LIMIT)
_ASCENDING = _OWN_THREADS.order_by(_CREATED, _ID)
_DESCENDING = _OWN_THREADS.order_by(_CREATED.desc(), _ID.desc())
_THREADS = {
    ("asc", False): _ASCENDING,
    ("asc", True): _ASCENDING.where(
        or_(_CREATED > _CURSOR_CREATED, (_CREATED == _CURSOR_CREATED) & (_ID > _CURSOR_ID))
    ),
    ("desc", False): _DESCENDING,
    ("desc", True): _DESCENDING.where(
        or_(_CREATED < _CURSOR_CREATED, (_CREATED == _CURSOR_CREATED) & (_ID < _CURSOR_ID))
    ),
}
_HISTORY = _items_where(
    items.c.uncommitted.is_(False), items.c.seq >= bindparam("first"), items.c.seq < bindparam("before")
)
_FORWARD = _HISTORY.order_by(items.c.seq)
_BACKWARD = _HISTORY.order_by(items.c.seq.desc()).limit(_LIMIT)
_HISTORY_BATCH = 100


def fetch_in(connection: AsyncConnection) -> Fetch:
    """Return the `Fetch` of a transaction."""

    async def fetch(statement: Select[Any], values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        rows: Sequence[Any] = (await connection.execute(statement, dict(values))).all()
        return rows

    return fetch


async def find_thread(fetch: Fetch, thread_id: str, user: User) -> ThreadRecord | None:
    """Load a thread; None if the user has none of this id."""
    rows = await fetch(_LOAD_THREAD, owner_values(user, thread=thread_id))
    return _thread_record(rows[0]) if rows else None


async def load_thread(fetch: Fetch, thread_id: str, user: User) -> ThreadRecord:
    """Load a thread.

    Raises:
        NotFound: the user has none of this id.
    """
    thread = await find_thread(fetch, thread_id, user)
    if thread is None:
        raise NotFound("There is no such thread.")
    return thread


async def lock_thread(connection: AsyncConnection, thread_id: str, user: User) -> int:
    """Lock a thread until the transaction ends.

    Returns:
        The sequence that its next item gets.

    Raises:
        NotFound: the user has no such thread.
    """
    row = (await connection.execute(_LOCK_THREAD, owner_values(user, thread=thread_id))).one_or_none()
    if row is None:
        raise NotFound("There is no such thread.")
    return int(row.next_seq)


async def load_item(fetch: Fetch, thread_id: str, item_id: str, user: User) -> ItemRecord:
    """Load an item, hidden or not.

    Raises:
        NotFound: the user has no such item in such a thread.
    """
    rows = await fetch(_LOAD_ITEM, owner_values(user, thread=thread_id, item=item_id))
    if not rows:
        raise NotFound("There is no such item in this thread.")
    return _item_record(rows[0])


async def page_items(
    fetch: Fetch, thread_id: str, *, after: str | None, limit: int, order: str, user: User
) -> RecordPage:
    """Load a page of visible items.

    Raises:
        NotFound: there is no such thread, or no such item to continue after.
    """
    values: dict[str, Any] = owner_values(
        user, thread=thread_id, **({} if after is None else {"item": after})
    )
    rows = await fetch(_PAGE[order, after is not None], {**values, "limit": limit + 1})
    if not rows:  # either there are no items, or no such thread or cursor
        if after is None:
            await load_thread(fetch, thread_id, user)
        elif not await fetch(_CURSOR, values):
            raise NotFound("There is no such item in this thread.", field="params.after")
    return _page([_item_record(row) for row in rows], limit)


async def thread_with_items(
    fetch: Fetch, thread_id: str, *, limit: int, user: User
) -> tuple[ThreadRecord, RecordPage]:
    """Load a thread and its oldest visible items, with one statement.

    Raises:
        NotFound: there is no such thread.
    """
    rows = await fetch(_WITH_ITEMS, {**owner_values(user, thread=thread_id), "limit": limit + 1})
    if not rows:
        raise NotFound("There is no such thread.")
    width = len(_THREAD)
    found = [_item_record(row[width:]) for row in rows if row[width] is not None]
    return _thread_record(rows[0][:width]), _page(found, limit)


async def page_threads(fetch: Fetch, *, after: str | None, limit: int, order: str, user: User) -> ThreadPage:
    """Load a page of threads, by creation.

    Raises:
        NotFound: there is no such thread to continue after.
    """
    values: dict[str, Any] = {"limit": limit + 1, **owner_values(user)}
    if after is not None:
        values["created_at"] = (await load_thread(fetch, after, user)).created_at
        values["thread"] = after
    rows = await fetch(_THREADS[order, after is not None], values)
    data = [_thread_record(row) for row in rows[:limit]]
    more = len(rows) > limit
    return ThreadPage(data=data, has_more=more, after=data[-1].id if more else None)


async def load_history(
    fetch: Fetch, thread_id: str, *, first: int, before: int | None, budget: int | None, user: User
) -> list[ItemRecord]:
    """Load the committed items of a range of the sequence, hidden ones included; arguments as in `Store`."""
    values: dict[str, Any] = owner_values(user, thread=thread_id)
    values |= {"first": first, "before": _MAX_SEQ if before is None else before}
    if budget is None:
        return [_item_record(row) for row in await fetch(_FORWARD, values)]
    # Backwards and in batches: the cost depends on what is loaded, not on the length of the thread.
    records: list[ItemRecord] = []
    size = 0
    while True:
        rows = await fetch(_BACKWARD, {**values, "limit": _HISTORY_BATCH})
        for row in rows:
            records.append(_item_record(row))
            size += len(records[-1].data)
            if size > budget and records[-1].turn_id != records[0].turn_id:
                return records[::-1]
        if len(rows) < _HISTORY_BATCH:
            return records[::-1]
        values["before"] = records[-1].seq


def _page(records: list[ItemRecord], limit: int) -> RecordPage:
    more = len(records) > limit
    data = records[:limit]
    return RecordPage(data=data, has_more=more, after=data[-1].id if more else None)


def _item_record(row: Any) -> ItemRecord:
    item_id, thread_id, kind, data, turn_id, metadata, seq, version = row
    return ItemRecord(
        id=item_id,
        thread_id=thread_id,
        type=kind,
        data=data,
        turn_id=turn_id,
        provider_metadata=metadata,
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
