"""What `SQLStore` keeps about users."""

from chatrack.sql.database import Database
from chatrack.sql.owned_table import OwnedTable
from chatrack.sql.table_data import TableData
from chatrack.sql.tables import attachments, feedback, items, pauses, threads, usage


def store_data(database: Database) -> TableData:
    """Give what the tables of `SQLStore` hold about users, for the plugin that gives one.

    Args:
        database: the store's.
    """
    return TableData(database, name="chatrack", tables=_TABLES)


# The leases of threads are nobody's data; the foreign keys take them along.
_TABLES = (
    OwnedTable(
        table=threads,
        kind="thread",
        order=("created_at",),
        moments=("created_at", "updated_at"),
        documents=("status", "metadata", "allowed_image_domains"),
        age="updated_at",
        size="next_seq",
        parts=(
            OwnedTable(table=items, kind="item", of="thread_id", documents=("data", "origin")),
            OwnedTable(
                table=attachments,
                kind="attachment",
                of="thread_id",
                moments=("created_at",),
                documents=("data",),
            ),
            OwnedTable(table=feedback, kind="feedback", of="thread_id", moments=("created_at",)),
            OwnedTable(
                table=pauses, kind="pause", of="thread_id", moments=("created_at",), documents=("data",)
            ),
        ),
    ),
    OwnedTable(
        table=attachments,
        kind="attachment",
        only=attachments.c.thread_id.is_(None),
        moments=("created_at",),
        documents=("data",),
        age="created_at",
    ),
    OwnedTable(
        # What was used stays used when a user deletes the thread; a purge is another matter.
        table=usage,
        kind="usage",
        order=("created_at",),
        moments=("created_at",),
        age="created_at",
    ),
)
