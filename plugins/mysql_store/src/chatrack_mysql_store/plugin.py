"""`mysql_store`: threads in MySQL or MariaDB."""

from chatrack import Migrations, Store, UserData, hookimpl
from chatrack.sql import ServerSettings, SQLStore, store_data, store_migrations
from chatrack_mysql_store.backend import MySQL


class MySQLStorePlugin:
    """Keeps everything in one MySQL 8 or MariaDB 10.11 database, for any number of processes and machines."""

    api = 1

    class Settings(ServerSettings):
        """`[plugins.mysql_store]`: what all database servers have."""

    def __init__(self, settings: Settings) -> None:
        self.database = settings.open(MySQL, label="plugins.mysql_store.url")

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
