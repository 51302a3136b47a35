"""Chatrack's threads in PostgreSQL."""

from chatrack_postgres_store.plugin import PostgresStorePlugin

__all__ = ["PostgresStorePlugin"]
