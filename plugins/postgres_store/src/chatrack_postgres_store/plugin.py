"""`postgres_store`: threads in PostgreSQL."""

from typing import Annotated

import msgspec

from chatrack import Migrations, Store, UserData, hookimpl
from chatrack.sql import ServerSettings, SQLStore, store_data, store_migrations
from chatrack_postgres_store.backend import PostgreSQL


class PostgresStorePlugin:
    """Keeps everything in one PostgreSQL database, for any number of processes on any number of machines."""

    api = 1

    class Settings(ServerSettings):
        """`[plugins.postgres_store]`: what all database servers have, and `schema`."""

        schema: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")] | None = None
        """The schema that the tables are in, created if necessary; the first of the user's `search_path` if absent."""

    def __init__(self, settings: Settings) -> None:
        self.database = settings.open(PostgreSQL, label="plugins.postgres_store.url", schema=settings.schema)

    @hookimpl
    def store(self) -> Store:
        """Return the store over the database."""
        return SQLStore(self.database)

    @hookimpl
    def user_data(self) -> UserData:
        """Return what the store's tables hold about users."""
        return store_data(self.database)

    @hookimpl
    def migrations(self) -> Migrations:
        """Return the migrations of the store's tables."""
        return store_migrations(self.database)
