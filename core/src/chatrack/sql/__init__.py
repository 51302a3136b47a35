"""SQL for stores and plugins: a database, migrations and the store that the SQL store plugins share."""

from chatrack.sql.database import Database
from chatrack.sql.dialect import now_millis, upsert
from chatrack.sql.migrate import migrate, run_env
from chatrack.sql.ownership import owned_by, owner_columns, owner_values
from chatrack.sql.store import SQLStore

__all__ = [
    "Database",
    "SQLStore",
    "migrate",
    "now_millis",
    "owned_by",
    "owner_columns",
    "owner_values",
    "run_env",
    "upsert",
]
