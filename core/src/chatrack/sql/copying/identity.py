"""Telling whether two databases are the same one."""

from chatrack.sql.database import Database


def database_identity(database: Database) -> str:
    """Return a text that is equal for two `Database`s of the same database; without user and password.

    A server that is written in two ways (a name and an address) counts as two.
    """
    return database.backend.identity
