"""Copying the rows of tables from one database into another, of the same kind or a different one."""

from chatrack.sql.copying.batches import read_batches
from chatrack.sql.copying.checks import (
    EMPTY_HINT,
    check_complete,
    check_source,
    check_target,
    count_rows,
    database_identity,
    make_tables,
    open_source,
    tables_of,
)
from chatrack.sql.copying.digest import Digest
from chatrack.sql.copying.progress import is_verified, load_progress, mark_verified, remove_progress
from chatrack.sql.copying.write import reset_sequence, write_batch

__all__ = [
    "EMPTY_HINT",
    "Digest",
    "check_complete",
    "check_source",
    "check_target",
    "count_rows",
    "database_identity",
    "is_verified",
    "load_progress",
    "make_tables",
    "mark_verified",
    "open_source",
    "read_batches",
    "remove_progress",
    "reset_sequence",
    "tables_of",
    "write_batch",
]
