"""SQL for stores and plugins: a database, migrations and the store that the SQL store plugins share."""

from chatrack.sql.backends import Pool
from chatrack.sql.database import Database
from chatrack.sql.dialect import now_millis, upsert
from chatrack.sql.migrate import migrate, run_env, store_migrations
from chatrack.sql.owned_table import OwnedTable
from chatrack.sql.ownership import owned_by, owner_columns, owner_row, owner_values
from chatrack.sql.settings import ServerSettings
from chatrack.sql.store import SQLStore
from chatrack.sql.store_user_data import store_data
from chatrack.sql.table_data import TableData

__all__ = [
    "Database",
    "OwnedTable",
    "Pool",
    "SQLStore",
    "ServerSettings",
    "TableData",
    "migrate",
    "now_millis",
    "owned_by",
    "owner_columns",
    "owner_row",
    "owner_values",
    "run_env",
    "store_data",
    "store_migrations",
    "upsert",
]
