"""Chatrack's threads in MySQL or MariaDB."""

from chatrack_mysql_store.plugin import MySQLStorePlugin

__all__ = ["MySQLStorePlugin"]
