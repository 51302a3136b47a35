"""The usage of models. All functions are part of a transaction."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.errors import NotFound
from chatrack.interfaces.records import UsageRecord
from chatrack.interfaces.user import User
from chatrack.sql.database import Database
from chatrack.sql.ownership import owned_by, owner_row, owner_values
from chatrack.sql.tables import usage

_FOREIGN = (
    select(usage.c.turn_id)
    .where(usage.c.turn_id.in_(bindparam("turns", expanding=True)), not_(owned_by(usage)))
    .limit(1)
)
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
