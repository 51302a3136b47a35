"""Taking, proving and giving back the right to write into a thread. Each function is part of a transaction."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.errors import LeaseLost, NotFound, ThreadBusy
from chatrack.interfaces.store import Lease
from chatrack.interfaces.user import User
from chatrack.sql.dialect import now_millis, upsert
from chatrack.sql.ownership import owned_by, owner_values
from chatrack.sql.tables import leases, threads


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A lease just taken, and where the thread's next item goes."""

    lease: Lease
    next_seq: int


async def acquire(
    connection: AsyncConnection, dialect: str, *, thread_id: str, turn_id: str, user: User, seconds: float
) -> Grant:
    """Take the lease of an existing thread, unless a living turn holds it.

    Raises:
        NotFound: the user has no such thread.
        ThreadBusy: another turn holds it.
    """
    now = now_millis()
    row = (
        await connection.execute(
            select(
                threads.c.next_seq, leases.c.turn_id, leases.c.fence, leases.c.expires_at, now.label("now")
            )
            .select_from(threads.outerjoin(leases, leases.c.thread_id == threads.c.id))
            .where(threads.c.id == bindparam("thread"), owned_by(threads))
            .with_for_update(of=threads),
            {"thread": thread_id, **owner_values(user)},
        )
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such thread.")
    if row.turn_id is not None and row.expires_at > row.now:
        raise ThreadBusy("This thread already has a turn running.", retry_after=1)
    lease = Lease(
        thread_id=thread_id,
        turn_id=turn_id,
        fence=(row.fence or 0) + 1,
        user=user,
        interrupted=row.turn_id is not None,
    )
    await _store(connection, dialect, lease, seconds)
    return Grant(lease=lease, next_seq=row.next_seq)


async def grant_new(
    connection: AsyncConnection, dialect: str, *, thread_id: str, turn_id: str, user: User, seconds: float
) -> Grant:
    """Take the lease of a thread that this transaction has just created."""
    lease = Lease(thread_id=thread_id, turn_id=turn_id, fence=1, user=user)
    await _store(connection, dialect, lease, seconds)
    return Grant(lease=lease, next_seq=1)


async def check(connection: AsyncConnection, lease: Lease) -> int:
    """Prove that the lease is still held, and keep it from being taken until the transaction ends.

    Returns:
        The sequence that the thread's next item gets.

    Raises:
        LeaseLost: it is held by another, or the thread is gone.
    """
    held = await check_many(connection, [lease])
    if lease.turn_id not in held:
        raise LeaseLost(f"turn {lease.turn_id} no longer owns its thread")
    return held[lease.turn_id]


async def check_many(connection: AsyncConnection, held: Sequence[Lease]) -> dict[str, int]:
    """Find out which of many leases are still held.

    Returns:
        For each turn that holds its thread, the sequence of the next item.
    """
    rows = await connection.execute(
        select(leases.c.turn_id, threads.c.next_seq)
        .select_from(leases.join(threads, leases.c.thread_id == threads.c.id))
        .where(_IDENTITY.in_(_identities(held)))
        # The thread's row is the one that everybody locks first.
        .with_for_update(of=threads)
    )
    return {row.turn_id: row.next_seq for row in rows}


async def renew(connection: AsyncConnection, held: Sequence[Lease], seconds: float) -> set[str]:
    """Prolong those leases that are still held.

    Returns:
        Their turn ids.
    """
    alive = await check_many(connection, held)
    if alive:
        await connection.execute(
            update(leases)
            .where(_IDENTITY.in_(_identities([lease for lease in held if lease.turn_id in alive])))
            .values(expires_at=now_millis() + round(seconds * 1000))
        )
    return set(alive)


async def release(connection: AsyncConnection, lease: Lease) -> None:
    """Give a lease back that `check` has proved."""
    await connection.execute(
        update(leases)
        .where(leases.c.thread_id == bindparam("thread"), owned_by(leases))
        .values(turn_id=None, expires_at=0),
        {"thread": lease.thread_id, **owner_values(lease.user)},
    )


_IDENTITY = tuple_(leases.c.thread_id, leases.c.turn_id, leases.c.fence, leases.c.tenant_id, leases.c.user_id)


def _identities(held: Sequence[Lease]) -> list[tuple[str, str, int, str, str]]:
    return [
        (lease.thread_id, lease.turn_id, lease.fence, lease.user.tenant_id, lease.user.id) for lease in held
    ]


async def _store(connection: AsyncConnection, dialect: str, lease: Lease, seconds: float) -> None:
    await connection.execute(
        upsert(dialect, leases, key=["thread_id"], update=["turn_id", "fence", "expires_at"]).values(
            thread_id=lease.thread_id,
            tenant_id=lease.user.tenant_id,
            user_id=lease.user.id,
            turn_id=lease.turn_id,
            fence=lease.fence,
            expires_at=now_millis() + round(seconds * 1000),
        )
    )
