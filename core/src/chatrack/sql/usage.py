"""What models were used for. Each function is part of a transaction."""

from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from chatrack.interfaces.records import UsageRecord
from chatrack.interfaces.user import User
from chatrack.sql.database import Database
from chatrack.sql.ownership import owner_row
from chatrack.sql.tables import usage

_COUNTS = ("requests", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")


async def put(
    connection: AsyncConnection, database: Database, records: Sequence[UsageRecord], *, user: User
) -> None:
    """Note what a turn used; the same turn, agent and model again replaces what was noted."""
    if not records:
        return
    rows = [{**msgspec.structs.asdict(record), **owner_row(user)} for record in records]
    statement = database.upsert(usage, key=["turn_id", "agent", "model"], update=_COUNTS)
    await connection.execute(statement, rows)
