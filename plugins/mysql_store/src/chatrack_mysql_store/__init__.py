"""MySQL and MariaDB for Chatrack: a store plugin, and the SQL backend that it and other plugins use."""

from chatrack_mysql_store.backend import MySQL
from chatrack_mysql_store.plugin import MySQLStorePlugin

__all__ = ["MySQL", "MySQLStorePlugin"]
