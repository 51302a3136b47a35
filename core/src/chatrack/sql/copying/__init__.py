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
from chatrack.sql.copying.identity import place_of
from chatrack.sql.copying.progress import is_verified, load_notes, note_verified, remove_notes
from chatrack.sql.copying.writing import count_on, write_batch

__all__ = [
    "EMPTY",
    "Digest",
    "check_complete",
    "check_source",
    "check_target",
    "count_on",
    "count_rows",
    "is_verified",
    "load_notes",
    "make_tables",
    "note_verified",
    "open_source",
    "place_of",
    "read_batches",
    "remove_notes",
    "tables_of",
    "write_batch",
]
