"""Kinds of databases: the interface of a backend, the one for SQLite, and how installed ones are found."""

from chatrack.sql.backends.backend import Backend, Pool
from chatrack.sql.backends.registry import create_backend, find_backend
from chatrack.sql.backends.server import ServerBackend

__all__ = ["Backend", "Pool", "ServerBackend", "create_backend", "find_backend"]
