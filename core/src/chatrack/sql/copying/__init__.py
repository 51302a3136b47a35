"""Moving what is in the tables of one database into those of another, of whatever kind the two are."""

from chatrack.sql.copying.batches import read_batches
from chatrack.sql.copying.digest import Digest
from chatrack.sql.copying.ends import (
    EMPTY,
    check_complete,
    check_source,
    check_target,
    count_rows,
    make_tables,
    open_source,
    tables_of,
)
from chatrack.sql.copying.identity import database_identity
from chatrack.sql.copying.progress import is_verified, load_progress, mark_verified, remove_progress
from chatrack.sql.copying.writing import reset_sequence, write_batch

__all__ = [
    "EMPTY",
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
