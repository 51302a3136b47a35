"""`sqlite_store`: threads in one SQLite file."""

from pathlib import Path

from sqlalchemy import URL

import chatrack
from chatrack import Migrations, Store, UserData, hookimpl
from chatrack.sql import Database, SQLStore, store_data, store_migrations


class SqliteStorePlugin:
    """Keeps everything in one file; for one machine, with any number of processes on it."""

    api = 1

    class Settings(chatrack.Settings):
        """`[plugins.sqlite_store]`."""

        path: Path = Path("data/chatrack.db")
        """The file; its folder is created."""

    def __init__(self, settings: Settings) -> None:
        url = URL.create("sqlite", database=str(settings.path))
        self.database = Database(url, label="plugins.sqlite_store.path")

    @hookimpl
    def store(self) -> Store:
        """Return the store over the file."""
        return SQLStore(self.database)

    @hookimpl
    def user_data(self) -> UserData:
        """Return what the store's tables hold about users."""
        return store_data(self.database)

    @hookimpl
    def migrations(self) -> Migrations:
        """Return the migrations of the store's tables."""
        return store_migrations(self.database)
