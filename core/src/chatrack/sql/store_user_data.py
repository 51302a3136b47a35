"""The user data of `SQLStore`: what its tables hold about users."""

from chatrack.sql.database import Database
from chatrack.sql.files import queue
from chatrack.sql.owned_table import OwnedTable
from chatrack.sql.table_data import TableData
from chatrack.sql.tables import attachments, feedback, items, pauses, threads, usage


def store_data(database: Database) -> TableData:
    """Return what the tables of `SQLStore` hold about users, for the plugin whose store it is.

    Args:
        database: the store's.
    """
    return TableData(database, name="chatrack", tables=_TABLES)


# Leases say nothing about users; the foreign keys delete them with their threads.
_TABLES = (
    OwnedTable(
        table=threads,
        kind="thread",
        order=("created_at",),
        timestamps=("created_at", "updated_at"),
        json_columns=("status", "metadata", "allowed_image_domains"),
        age="updated_at",
        size="next_seq",
        children=(
            OwnedTable(table=items, kind="item", parent_key="thread_id", json_columns=("data", "origin")),
            OwnedTable(
                table=attachments,
                kind="attachment",
                parent_key="thread_id",
                timestamps=("created_at",),
                json_columns=("data",),
                before_delete=queue,
            ),
            OwnedTable(table=feedback, kind="feedback", parent_key="thread_id", timestamps=("created_at",)),
            OwnedTable(
                table=pauses,
                kind="pause",
                parent_key="thread_id",
                timestamps=("created_at",),
                json_columns=("data",),
            ),
        ),
    ),
    OwnedTable(
        table=attachments,
        kind="attachment",
        where=attachments.c.thread_id.is_(None),
        timestamps=("created_at",),
        json_columns=("data",),
        age="created_at",
        before_delete=queue,
    ),
    OwnedTable(
        # Usage outlives the deletion of its thread, but not a purge.
        table=usage,
        kind="usage",
        order=("created_at",),
        timestamps=("created_at",),
        age="created_at",
    ),
)
