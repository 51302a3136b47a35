"""Leases that expire when a test says so, instead of after seconds of waiting."""

from sqlalchemy import update

from chatrack.sql import Database
from chatrack.sql.tables import leases


async def expire_leases(url: str) -> None:
    """Let all leases in a database expire, as if their time were up."""
    database = Database(url)
    await database.start()
    try:
        await database.write(lambda connection: connection.execute(update(leases).values(expires_at=0)))
    finally:
        await database.stop()
