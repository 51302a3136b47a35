"""The usage of models. All functions but `tokens_since` are part of a transaction."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import BigInteger, bindparam, cast, func, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.errors import NotFound
from chatrack.interfaces.records import UsageRecord
from chatrack.interfaces.user import User
from chatrack.sql.database import Database
from chatrack.sql.ownership import owned_by, owner_row, owner_values
from chatrack.sql.reading import Fetch
from chatrack.sql.tables import usage

_FOREIGN = (
    select(usage.c.turn_id)
    .where(usage.c.turn_id.in_(bindparam("turns", expanding=True)), not_(owned_by(usage)))
    .limit(1)
)
_TOKENS = func.coalesce(usage.c.input_tokens, 0) + func.coalesce(usage.c.output_tokens, 0)
# MySQL and PostgreSQL sum integers up to a decimal number.
_SUM = select(cast(func.coalesce(func.sum(_TOKENS), 0), BigInteger)).where(
    usage.c.created_at >= bindparam("since", type_=BigInteger)
)
_TOKENS_OF_USER = _SUM.where(owned_by(usage))
_TOKENS_OF_TENANT = _SUM.where(usage.c.tenant_id == bindparam("owner_tenant"))
_COUNTS = ("requests", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")


async def put(
    connection: AsyncConnection, database: Database, records: Sequence[UsageRecord], *, user: User
) -> None:
    """Store the usage of turns; a record replaces the one of the same turn, agent and model."""
    if not records:
        return
    rows = [{**msgspec.structs.asdict(record), **owner_row(user)} for record in records]
    statement = database.upsert(usage, key=["turn_id", "agent", "model"], update=_COUNTS)
    await connection.execute(statement, rows)


async def require_own_turns(
    connection: AsyncConnection, records: Sequence[UsageRecord], *, user: User
) -> None:
    """Refuse usage of other users' turns, which `put` would replace: the key of a row does not name its owner.

    Raises:
        NotFound: another user has usage of a turn.
    """
    turns = sorted({record.turn_id for record in records})
    found = await connection.execute(_FOREIGN, {**owner_values(user), "turns": turns})
    if found.first() is not None:
        raise NotFound("There is no such turn.")


async def tokens_since(fetch: Fetch, since: int, *, user: User, whole_tenant: bool) -> int:
    """Return the input and output tokens of a user's turns, or of all turns of the user's tenant.

    Args:
        fetch: runs the query.
        since: microseconds since 1970; older usage does not count.
        user: the user.
        whole_tenant: whether the other users of the tenant count.
    """
    values = {"owner_tenant": user.tenant_id, "since": since}
    if whole_tenant:
        [(tokens,)] = await fetch(_TOKENS_OF_TENANT, values)
    else:
        [(tokens,)] = await fetch(_TOKENS_OF_USER, {**values, "owner_user": user.id})
    return int(tokens)
