"""SQL for stores and plugins: a database, migrations, and the store that all SQL store plugins share."""

from chatrack.sql.backends import Backend, Pool, ServerBackend
from chatrack.sql.database import Database
from chatrack.sql.functions import now_millis
from chatrack.sql.migrate import migrate, run_env, store_migrations
from chatrack.sql.owned_table import OwnedTable
from chatrack.sql.ownership import owned_by, owner_columns, owner_row, owner_values
from chatrack.sql.settings import ServerSettings
from chatrack.sql.store import SQLStore
from chatrack.sql.store_user_data import store_data
from chatrack.sql.table_data import TableData

__all__ = [
    "Backend",
    "Database",
    "OwnedTable",
    "Pool",
    "SQLStore",
    "ServerBackend",
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
]
