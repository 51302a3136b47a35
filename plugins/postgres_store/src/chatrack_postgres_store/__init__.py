"""PostgreSQL for Chatrack: a store plugin, and the SQL backend that it and other plugins use."""

from chatrack_postgres_store.backend import PostgreSQL
from chatrack_postgres_store.plugin import PostgresStorePlugin

__all__ = ["PostgreSQL", "PostgresStorePlugin"]
