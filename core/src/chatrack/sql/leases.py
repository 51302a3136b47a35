"""The leases of threads: acquiring, checking, renewing and releasing them. All functions are part of a transaction."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import BigInteger, Select, bindparam, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import Insert

from chatrack.errors import LeaseLost, NotFound, ThreadBusy, TooManyTurns
from chatrack.interfaces.lease import Lease
from chatrack.interfaces.user import User
from chatrack.sql import reading
from chatrack.sql.database import Database
from chatrack.sql.functions import now_millis
from chatrack.sql.ownership import owned_by, owner_row, owner_values
from chatrack.sql.tables import leases, threads


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A lease that was just acquired.

    Args:
        lease: the lease.
        next_seq: the sequence number of the thread's next item.
    """

    lease: Lease
    next_seq: int


async def acquire(
    connection: AsyncConnection,
    database: Database,
    *,
    thread_id: str,
    turn_id: str,
    user: User,
    seconds: float,
) -> Grant:
    """Acquire the lease of an existing thread, unless another turn holds it and it has not expired.

    Raises:
        NotFound: the user has no such thread.
        ThreadBusy: another turn holds it.
    """
    # All transactions lock the thread's row first. The lease is read after that, in a statement of its own: a join
    # that waited for the lock would return the lease as it was before the wait.
    next_seq = await reading.lock_thread(connection, thread_id, user)
    row = (await connection.execute(_LEASE, owner_values(user, thread=thread_id))).one_or_none()
    if row is None:
        lease = Lease(thread_id=thread_id, turn_id=turn_id, fence=1, user=user)
        await _store(connection, database, lease, seconds)
        return Grant(lease=lease, next_seq=next_seq)
    if row.turn_id is not None and row.expires_at > row.now:
        raise ThreadBusy("This thread already has a turn running.", retry_after=1)
    lease = Lease(
        thread_id=thread_id,
        turn_id=turn_id,
        fence=row.fence + 1,
        user=user,
        interrupted=row.turn_id is not None,
    )
    await _store(connection, database, lease, seconds)
    return Grant(lease=lease, next_seq=next_seq)


async def grant_new(
    connection: AsyncConnection,
    database: Database,
    *,
    thread_id: str,
    turn_id: str,
    user: User,
    seconds: float,
) -> Grant:
    """Acquire the lease of a thread that this transaction has created."""
    lease = Lease(thread_id=thread_id, turn_id=turn_id, fence=1, user=user)
    await _store(connection, database, lease, seconds)
    return Grant(lease=lease, next_seq=1)


async def require_fewer(connection: AsyncConnection, max_turns: int, *, thread_id: str, user: User) -> None:
    """Refuse a turn if the user has `max_turns` in other threads; expired leases do not count.

    Raises:
        TooManyTurns: there are as many.
    """
    running = await connection.scalar(_COUNT_OTHERS, owner_values(user, thread=thread_id))
    if running is not None and running >= max_turns:
        raise TooManyTurns(f"user {user.id} has {running} other turns")


async def find_held(connection: AsyncConnection, thread_id: str, turn_id: str, user: User) -> Lease | None:
    """Return the lease of a turn if it holds the thread, which is then locked until the transaction ends."""
    try:
        await reading.lock_thread(connection, thread_id, user)
    except NotFound:
        return None
    row = (await connection.execute(_LEASE, owner_values(user, thread=thread_id))).one_or_none()
    if row is None or row.turn_id != turn_id:
        return None
    return Lease(thread_id=thread_id, turn_id=turn_id, fence=row.fence, user=user)


async def check(connection: AsyncConnection, lease: Lease) -> int:
    """Check that a lease is still held; no other turn can acquire it until the transaction ends.

    A lease that has expired, and that no other turn has acquired, still counts as held.

    Returns:
        The sequence number of the thread's next item.

    Raises:
        LeaseLost: another turn holds it, it was released, or the thread was deleted.
    """
    next_seqs = await _lock(connection, _LOCK, [lease])
    if lease.thread_id not in next_seqs or not await _held_threads(connection, [lease]):
        raise LeaseLost(f"turn {lease.turn_id} no longer owns its thread")
    return next_seqs[lease.thread_id]


async def check_many(connection: AsyncConnection, leases: Sequence[Lease]) -> dict[str, int]:
    """Check which of many leases are still held; no other turn can acquire those until the transaction ends.

    Threads that another transaction has locked are left out: the others must not wait for them.

    Returns:
        For each turn that holds its thread, the sequence of the next item.
    """
    next_seqs = await _lock(connection, _LOCK_SKIP_LOCKED, leases)
    held = await _held_threads(connection, leases)
    return {turn: next_seqs[thread] for turn, thread in held.items() if thread in next_seqs}


async def renew(connection: AsyncConnection, leases: Sequence[Lease], seconds: float) -> set[str]:
    """Renew the leases that are still held, except those whose threads another transaction has locked.

    Returns:
        The turn ids of the leases that are held, renewed or not.
    """
    locked = await _lock(connection, _LOCK_SKIP_LOCKED, leases)
    held = await _held_threads(connection, leases)
    renewed = [lease for lease in leases if lease.turn_id in held and lease.thread_id in locked]
    if renewed:
        await connection.execute(
            _RENEW,
            {
                "threads": _thread_ids(renewed),
                "leases": _identities(renewed),
                "milliseconds": round(seconds * 1000),
            },
        )
    return set(held)


async def _lock(
    connection: AsyncConnection, statement: Select[Any], leases: Sequence[Lease]
) -> dict[str, int]:
    """Lock the threads of leases before the leases are read, as `acquire` does.

    Args:
        connection: inside a transaction.
        statement: `_LOCK`, or `_LOCK_SKIP_LOCKED`; both lock in the order of the ids, which avoids deadlocks.
        leases: the leases.

    Returns:
        For each thread that was locked, the sequence of its next item.
    """
    if not leases:
        return {}
    owned = [(lease.thread_id, lease.user.tenant_id, lease.user.id) for lease in leases]
    rows = await connection.execute(statement, {"threads": _thread_ids(leases), "owned": owned})
    return {row.id: row.next_seq for row in rows}


async def _held_threads(connection: AsyncConnection, leases: Sequence[Lease]) -> dict[str, str]:
    """Return the thread ids of the leases that are held, by turn id."""
    if not leases:
        return {}
    rows = await connection.execute(_HELD, {"threads": _thread_ids(leases), "leases": _identities(leases)})
    return {row.turn_id: row.thread_id for row in rows}


async def release(connection: AsyncConnection, lease: Lease) -> None:
    """Release a lease that is held, as `check` or `find_held` has found."""
    await connection.execute(_RELEASE, owner_values(lease.user, thread=lease.thread_id))


_LEASE = select(leases.c.turn_id, leases.c.fence, leases.c.expires_at, now_millis().label("now")).where(
    leases.c.thread_id == bindparam("thread"), owned_by(leases)
)
_COUNT_OTHERS = (
    select(func.count())
    .select_from(leases)
    .where(
        owned_by(leases),
        leases.c.turn_id.is_not(None),
        leases.c.expires_at > now_millis(),
        leases.c.thread_id != bindparam("thread"),
    )
)
_RELEASE = (
    update(leases)
    .where(leases.c.thread_id == bindparam("thread"), owned_by(leases))
    .values(turn_id=None, expires_at=0)
)
_THREAD_IDS: Any = bindparam("threads", expanding=True)
_THREADS = (
    select(threads.c.id, threads.c.next_seq)
    .where(
        threads.c.id.in_(_THREAD_IDS),  # not every database uses an index for the condition below
        tuple_(threads.c.id, threads.c.tenant_id, threads.c.user_id).in_(bindparam("owned", expanding=True)),
    )
    .order_by(threads.c.id)
)
_LOCK = _THREADS.with_for_update()
_LOCK_SKIP_LOCKED = _THREADS.with_for_update(skip_locked=True)
_IDENTITY = tuple_(leases.c.thread_id, leases.c.turn_id, leases.c.fence, leases.c.tenant_id, leases.c.user_id)
_IS_GIVEN = (leases.c.thread_id.in_(_THREAD_IDS), _IDENTITY.in_(bindparam("leases", expanding=True)))
_HELD = select(leases.c.thread_id, leases.c.turn_id).where(*_IS_GIVEN)
_MILLISECONDS: Any = bindparam("milliseconds", type_=BigInteger)
_RENEW = update(leases).where(*_IS_GIVEN).values(expires_at=now_millis() + _MILLISECONDS)


def _thread_ids(leases: Sequence[Lease]) -> list[str]:
    return [lease.thread_id for lease in leases]


def _identities(leases: Sequence[Lease]) -> list[tuple[str, str, int, str, str]]:
    return [
        (lease.thread_id, lease.turn_id, lease.fence, lease.user.tenant_id, lease.user.id) for lease in leases
    ]


async def _store(connection: AsyncConnection, database: Database, lease: Lease, seconds: float) -> None:
    await connection.execute(
        _grant_statement(database),
        {
            "thread_id": lease.thread_id,
            **owner_row(lease.user),
            "turn_id": lease.turn_id,
            "fence": lease.fence,
            "milliseconds": round(seconds * 1000),
        },
    )


_grant_statements: WeakKeyDictionary[Database, Insert] = WeakKeyDictionary()


def _grant_statement(database: Database) -> Insert:
    """Return the upsert of a lease, which is kept because building it costs more than running it."""
    statement = _grant_statements.get(database)
    if statement is None:
        columns = {
            name: bindparam(name, type_=leases.c[name].type)
            for name in ("thread_id", "tenant_id", "user_id", "turn_id", "fence")
        }
        upsert = database.upsert(leases, key=["thread_id"], update=["turn_id", "fence", "expires_at"])
        statement = upsert.values({**columns, "expires_at": now_millis() + _MILLISECONDS})
        _grant_statements[database] = statement
    return statement
